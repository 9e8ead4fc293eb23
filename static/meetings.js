// Lists of people and units at a meeting: filter by typing, tick a whole group.
"use strict";

function filterRows(selector) {
  const words = (document.querySelector(`input[type=search][data-filters="${selector}"]`)?.value ?? "").trim().toLowerCase();
  const only = document.querySelector(`input[type=checkbox][data-filters="${selector}"]`)?.checked;
  for (const row of document.querySelectorAll(selector)) {
    row.hidden = !row.dataset.search.toLowerCase().includes(words) || (only && !("outstanding" in row.dataset));
  }
  // A group with nothing left to show steps back; one with a hit opens.
  for (const group of document.querySelectorAll("details.candidates")) {
    const hits = group.querySelectorAll(`${selector}:not([hidden])`).length;
    group.hidden = hits === 0;
    if (words) group.open = true;
  }
}

function countTicks() {
  for (const place of document.querySelectorAll("[data-count]")) {
    const form = document.getElementById(place.dataset.count);
    place.value = form.querySelectorAll("input[name]:checked:not(:disabled)").length;
  }
}

document.addEventListener("input", (event) => {
  const selector = event.target.dataset?.filters;
  if (selector) filterRows(selector);
});

// «The whole group» ticks what is shown, so that it follows the filter.
document.addEventListener("change", (event) => {
  if ("checkGroup" in (event.target.dataset ?? {})) {
    const rows = event.target.closest("details").querySelectorAll(".candidate:not([hidden]) input:not(:disabled)");
    for (const box of rows) box.checked = event.target.checked;
  }
  countTicks();
});

document.addEventListener("DOMContentLoaded", countTicks);
