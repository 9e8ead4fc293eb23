// A text field that suggests: htmx fills the list that `aria-controls` names, keys and clicks choose.
// Enter takes the only choice that there is.
"use strict";

function suggest(input) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  let current = -1;

  const show = (isOpen) => {
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", isOpen);
    if (!isOpen) mark(-1);
  };
  const mark = (index) => {
    list.children[current]?.setAttribute("aria-selected", "false");
    list.children[current]?.classList.remove("active");
    current = index;
    const option = list.children[current];
    option?.setAttribute("aria-selected", "true");
    option?.classList.add("active");
    option?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option?.id ?? "");
  };
  const choose = (option) => {
    input.value = option.dataset.value;
    show(false);
  };

  list.addEventListener("htmx:afterSwap", () => {
    current = -1;
    show(list.children.length > 0 && document.activeElement === input);
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field keeps the focus
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
  input.addEventListener("blur", () => show(false));
  input.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing) return;
    const count = list.children.length;
    if (event.key === "ArrowDown") mark((current + 1) % count);
    else if (event.key === "ArrowUp") mark((current + count - 1) % count);
    else if (event.key === "Enter" && (current >= 0 || count === 1)) choose(list.children[Math.max(current, 0)]);
    else if (event.key === "Escape") show(false);
    else return;
    event.preventDefault();
  });
}

function suggestIn(part) {
  part.querySelectorAll("[data-suggest]").forEach(suggest);
}

suggestIn(document);
document.addEventListener("row-added", (event) => suggestIn(event.target));
