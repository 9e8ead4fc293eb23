// Behaviour that pages share. Charts live in charts.js.
"use strict";

// A form with data-confirm asks before it is sent.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A select or checkbox with data-submit sends its form at once.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// data-check-all ticks every box that shares the name it holds.
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.checkAll;
  if (!name) return;
  for (const box of document.querySelectorAll(`input[type=checkbox][name="${name}"]`)) {
    box.checked = event.target.checked;
  }
});

// A part with data-poll asks again and again. While no good answer comes, as during a restart, it
// stays as it is, says so and goes on asking; an error never takes its place.
document.addEventListener("htmx:afterRequest", (event) => {
  const note = event.target.closest?.("[data-poll]")?.querySelector("[data-poll-lost]");
  const { status } = event.detail.xhr;
  if (note) note.hidden = status >= 200 && status < 400;
});

// htmx shows answers with errors too: the server sends them with a place of their own.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.target.matches("[data-poll]")) {
    event.detail.shouldSwap = false;
  } else if (event.detail.xhr.status >= 400) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// A field with data-select is there to be copied: a click selects all of it.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});

// A button with data-print prints the page.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
