// The form in which a visit is logged: fields appear for the outcome that was chosen. Without
// this file all of them are shown, and the server takes only those that belong to the outcome.
"use strict";

const form = document.querySelector(".visit-log");

function showFields() {
  const outcome = form.elements.outcome.value;
  for (const group of form.querySelectorAll("[data-outcomes]")) {
    const isWanted = group.dataset.outcomes.split(" ").includes(outcome);
    group.hidden = !isWanted;
    for (const field of group.querySelectorAll("input, select")) {
      field.disabled = !isWanted;
      field.required = isWanted && "required" in group.dataset;
    }
  }
}

form.addEventListener("change", (event) => {
  if (event.target.name === "outcome") showFields();
});
// One tap is one log: the second of two quick ones does nothing (the server knows it again, too).
form.addEventListener("submit", (event) => {
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  // A page that the phone has kept since yesterday still means today.
  const day = form.elements.visited_on;
  const today = new Date().toLocaleDateString("sv-SE");
  if (day.value === day.defaultValue && day.value < today) day.value = today;
  delete form.dataset.sent;
  showFields();
});
