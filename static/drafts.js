// What was typed into a form with data-draft outlives a lost session and a page that was left: this
// tab keeps it for the person whom data-draft names, until a page with data-recorded shows it.
"use strict";

for (const { dataset } of document.querySelectorAll("[data-recorded]")) {
  for (const [place, text] of Object.entries(sessionStorage)) {
    if (place.startsWith("draft:") && text.includes(dataset.recorded)) sessionStorage.removeItem(place);
  }
}

const drafted = document.querySelector("[data-draft]");

function restoreDraft(typed) {
  for (const [name, value] of typed) {
    while (name.startsWith("rows-") && !drafted.elements[name] && addRow());
    const field = drafted.elements[name];
    if (field?.type === "checkbox") field.checked = true;
    else if (field) field.value = value;
  }
  drafted.querySelector("[data-draft-note]").hidden = false;
  drafted.dispatchEvent(new Event("input"));
}

if (drafted) {
  const place = `draft:${drafted.dataset.draft}:${location.pathname}`;
  const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
  // A page that came back with errors holds what was typed already.
  if (kept && "fresh" in drafted.dataset) restoreDraft(kept);
  drafted.addEventListener("input", () => {
    const typed = [...new FormData(drafted)].filter(([name]) => name !== "csrf_token");
    sessionStorage.setItem(place, JSON.stringify(typed));
  });
  drafted.querySelector("[data-drop-draft]").addEventListener("click", () => {
    sessionStorage.removeItem(place);
    location.reload();
  });
}
