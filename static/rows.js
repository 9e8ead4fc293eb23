// Rows of gifts that are entered together: more rows, sums while typing, and Enter goes on. Without
// this file a button adds rows and the server adds up.
"use strict";

const entry = document.querySelector("[data-entry]");
const table = entry.querySelector("[data-rows]");
const countedField = entry.querySelector("[data-stated-count]");

// Fen in what was typed; null when it is no amount, as in money.parse_yuan.
function fenOf(text) {
  const match = /^(\d+)(?:\.(\d{1,2})0*)?$/.exec(text.replace(/[,，\s]/g, ""));
  return match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : null;
}

function yuan(fen) {
  const digits = fen % 100 === 0 ? 0 : 2;
  return (fen / 100).toLocaleString("zh-CN", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function addUp() {
  const amounts = [...table.querySelectorAll("[data-amount]")].map((input) => input.value.trim()).filter(Boolean);
  const fen = amounts.reduce((sum, text) => sum + (fenOf(text) ?? 0), 0);
  const stated = fenOf(entry.querySelector("[data-stated-fen]").value) ?? 0;
  const counted = countedField?.value ?? amounts.length;
  const show = (name, text) => {
    const place = entry.querySelector(`[data-${name}]`);
    if (place) place.value = text;
  };
  show("stated", yuan(stated));
  show("entered", yuan(fen));
  show("difference", yuan(stated - fen));
  show("counted", counted || 0);
  show("entered-count", amounts.length);
  show("difference-count", counted - amounts.length);
  const isEven = stated === fen && Number(counted) === amounts.length;
  entry.querySelector(".entry-bar").classList.toggle("entry-even", isEven && fen > 0);
}

function addRow() {
  const body = table.tBodies[0];
  if (body.rows.length >= Number(table.dataset.mostRows)) return null;
  const numbers = [...body.querySelectorAll("[data-amount]")].map((input) => Number(input.name.split("-")[1]));
  const blank = document.createElement("template");
  blank.innerHTML = entry.querySelector("[data-blank-row]").innerHTML.replaceAll("__n__", Math.max(...numbers) + 1);
  const row = body.appendChild(blank.content.querySelector("tr"));
  row.querySelector("select").value = row.previousElementSibling.querySelector("select").value;
  window.htmx?.process(row);
  row.dispatchEvent(new CustomEvent("row-added", { bubbles: true }));
  return row;
}

entry.querySelector("[data-more]").addEventListener("click", (event) => {
  event.preventDefault();
  addRow()?.querySelector("input").focus();
});
entry.addEventListener("input", addUp);
// From the unit to its amount, from elsewhere in a row to the next one; Ctrl and Enter send.
entry.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.key !== "Enter" || event.isComposing || !target.matches("input, select")) return;
  event.preventDefault();
  if (event.ctrlKey) return entry.requestSubmit(entry.querySelector(".btn-primary"));
  const row = target.closest("[data-row]");
  if (row && target.matches("[data-suggest]") && target.value) return row.querySelector("[data-amount]").focus();
  if (row) return (row.nextElementSibling ?? addRow())?.querySelector("input").focus();
  // What was counted is all that differs from day to day.
  if (target.matches("[data-stated-fen]") && countedField) return table.querySelector("input").focus();
  const fields = [...entry.querySelectorAll("input:not([type=hidden]), select")];
  return fields[fields.indexOf(target) + 1].focus();
});
addUp();
