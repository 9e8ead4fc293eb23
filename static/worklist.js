// The work list: what can be done with the rows that are ticked.
"use strict";

const refreshBulkBar = () => {
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const count = document.querySelectorAll("input[name=solicitation]:checked").length;
  bar.hidden = count === 0;
  bar.querySelector("[data-bulk-count]").textContent = bar.dataset.words.replace("0", count);
  const kind = bar.querySelector("[data-bulk-kind]").value;
  for (const field of bar.querySelectorAll("[data-bulk-field]")) {
    field.hidden = field.dataset.bulkField !== kind;
  }
};

document.addEventListener("change", refreshBulkBar);
document.addEventListener("htmx:afterSwap", refreshBulkBar);
