// Minutes are saved while they are typed. When somebody else has saved meanwhile, the form is sent
// as it stands, and the answer shows both versions.
"use strict";

const minutes = document.querySelector("form[data-autosave]");
const AFTER = 2000; // milliseconds without a key

async function saveMinutes() {
  const told = minutes.querySelector("output");
  try {
    const answer = await fetch(location.href, { method: "POST", body: new FormData(minutes), headers: { Accept: "application/json" } });
    if (answer.status === 409) return minutes.submit();
    if (!answer.ok) throw new Error(answer.status);
    const { mark, at } = await answer.json();
    minutes.elements.mark.value = mark;
    told.value = minutes.dataset.autosave + at;
  } catch {
    told.value = minutes.dataset.unsaved;
  }
}

if (minutes) {
  let timer;
  // One after the other: a save must not overtake the mark that the one before it brings.
  let saving = Promise.resolve();
  minutes.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { saving = saving.then(saveMinutes); }, AFTER);
  });
  minutes.addEventListener("submit", () => clearTimeout(timer));
}
