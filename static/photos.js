// Photos of a visit are made small in the page before they are kept or sent: JPEGs without what the
// camera wrote into its files. Without this file they are sent as they are; the server does the same.
"use strict";

{
  const LONGEST_SIDE = 1600;
  const QUALITY = 0.8;
  const part = document.querySelector("[data-photos]");
  const input = part.querySelector("input[type=file]");
  const list = part.querySelector("[data-chosen]");
  const add = part.querySelector("[data-add]");
  const problem = part.querySelector("[data-problem]");
  const save = input.form.querySelector(".visit-submit button");
  let chosen = [];

  async function takeIn() {
    const files = [...input.files];
    problem.hidden = true;
    save.disabled = true;
    show(); // what was chosen before stays chosen
    for (const file of files) {
      try {
        if (!hasRoom()) tell(problem.dataset.tooMany);
        else chosen.push(await makeSmall(file));
      } catch {
        tell(problem.dataset.unreadable.replace("…", file.name));
      }
    }
    show();
    save.disabled = false;
  }

  function hasRoom() {
    const kept = part.querySelectorAll("input[type=checkbox]:checked").length;
    return chosen.length + kept < Number(part.dataset.photos);
  }

  async function makeSmall(file) {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
    const sheet = document.createElement("canvas");
    sheet.width = Math.max(1, Math.round(picture.width * scale));
    sheet.height = Math.max(1, Math.round(picture.height * scale));
    const pen = sheet.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.fillStyle = "white";
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.drawImage(picture, 0, 0, sheet.width, sheet.height);
    picture.close();
    const blob = await new Promise((resolve) => sheet.toBlob(resolve, "image/jpeg", QUALITY));
    if (!blob) throw new Error("no JPEG");
    const name = `${file.name.replace(/\.[^.]*$/, "")}.jpg`;
    return { file: new File([blob], name, { type: blob.type }), sheet };
  }

  // The field holds what is chosen, so that the form is kept and sent like any other.
  function show() {
    const held = new DataTransfer();
    for (const { file } of chosen) held.items.add(file);
    input.files = held.files;
    list.replaceChildren(...chosen.map(makeRow));
    list.hidden = !chosen.length;
    add.disabled = !hasRoom();
  }

  function makeRow(photo) {
    const row = document.createElement("li");
    const remove = Object.assign(document.createElement("button"), {
      type: "button",
      textContent: "×",
      ariaLabel: list.dataset.removes,
    });
    remove.dataset.remove = "";
    remove.addEventListener("click", () => {
      chosen = chosen.filter((other) => other !== photo);
      show();
    });
    row.append(photo.sheet, remove);
    return row;
  }

  function tell(text) {
    problem.textContent = text;
    problem.hidden = false;
    problem.scrollIntoView({ block: "center" });
  }

  if ("createImageBitmap" in window) {
    input.hidden = true;
    add.hidden = false;
    add.addEventListener("click", () => input.click());
    input.addEventListener("change", takeIn);
    part.addEventListener("change", ({ target }) => target.type === "checkbox" && show());
    takeIn();
  }
}
