// The order of a day: a visit is dragged by its grip, within the day or to another day of the same
// person. Buttons beside it do the same; without this file they load the page anew.
"use strict";

(() => {
  const KEPT = "day-order"; // which button had the focus
  const EDGE = 90; // pixels from the top or bottom in which the page scrolls along
  let drag = null;

  for (const grip of document.querySelectorAll("[data-stop] [data-grip]")) grip.hidden = false;

  async function send(form, fields, lost) {
    const body = new FormData(form);
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    try {
      const headers = { Accept: "application/json" };
      const answer = await fetch(form.action, { method: "POST", headers, body });
      if (!answer.ok) window.alert((await answer.json()).error.message);
    } catch {
      window.alert(lost);
      return false;
    }
    sessionStorage.setItem(KEPT, document.activeElement.id);
    window.location.reload();
    return true;
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-place]")) return;
    event.preventDefault();
    send(form, {}, form.closest("[data-order]").dataset.lost);
  });

  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest("[data-grip]");
    if (!grip || event.button || drag) return;
    event.preventDefault();
    const stop = grip.closest("[data-stop]");
    const home = { list: stop.parentElement, next: stop.nextElementSibling };
    drag = { stop, home, grip, id: event.pointerId, y: event.clientY, x: event.clientX };
    grip.setPointerCapture(event.pointerId);
    sort(true);
    scrollAlong();
  });

  document.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.id) return;
    [drag.x, drag.y] = [event.clientX, event.clientY];
    follow();
  });

  document.addEventListener("pointerup", async (event) => {
    if (event.pointerId !== drag?.id) return;
    const { stop, home } = drag;
    const list = stop.parentElement;
    const [before, was] = [nextStop(stop.nextElementSibling), nextStop(home.next)];
    end();
    if (list === home.list && before === was) return putBack(stop, home);
    const { day, shown, lost } = list.dataset;
    const fields = { day, shown, before: before?.dataset.stop ?? "" };
    if (!(await send(stop.querySelector("[data-place]"), fields, lost))) putBack(stop, home);
  });

  const leaveOff = () => {
    if (!drag) return;
    putBack(drag.stop, drag.home);
    end();
  };
  document.addEventListener("pointercancel", (event) => event.pointerId === drag?.id && leaveOff());
  document.addEventListener("keydown", (event) => event.key === "Escape" && leaveOff());

  // Lists of the same person's days.
  function lists() {
    const person = drag.home.list.dataset.order;
    return document.querySelectorAll(`[data-order="${CSS.escape(person)}"]`);
  }

  function follow() {
    const below = document.elementFromPoint(drag.x, drag.y);
    const list = below?.closest("[data-order]") ?? below?.closest(".walk-day")?.querySelector("[data-order]");
    if (!list || ![...lists()].includes(list)) return;
    const stops = [...list.querySelectorAll("[data-stop]")].filter((stop) => stop !== drag.stop);
    const next = stops.find((stop) => {
      const { top, height } = stop.getBoundingClientRect();
      return drag.y < top + height / 2;
    });
    if (next) next.before(drag.stop);
    else if (stops.length) stops.at(-1).after(drag.stop);
    else list.prepend(drag.stop);
  }

  function nextStop(element) {
    while (element && !element.matches("[data-stop]")) element = element.nextElementSibling;
    return element;
  }

  function putBack(stop, { list, next }) {
    list.insertBefore(stop, next);
  }

  function scrollAlong() {
    if (!drag) return;
    const room = Math.min(drag.y - EDGE, 0) + Math.max(drag.y - window.innerHeight + EDGE, 0);
    if (room) {
      window.scrollBy({ top: room / 6, behavior: "instant" });
      follow();
    }
    requestAnimationFrame(scrollAlong);
  }

  function end() {
    sort(false);
    drag = null;
  }

  // All become short, or long again; what is dragged stays below the finger.
  function sort(isSorting) {
    const before = drag.grip.getBoundingClientRect().top;
    for (const list of lists()) list.classList.toggle("is-sorting", isSorting);
    drag.stop.classList.toggle("is-dragged", isSorting);
    window.scrollBy({ top: drag.grip.getBoundingClientRect().top - before, behavior: "instant" });
  }

  // A person who goes on with the keyboard finds the button where they left it.
  const button = document.getElementById(sessionStorage.getItem(KEPT));
  sessionStorage.removeItem(KEPT);
  const isEnd = button?.disabled && button.closest("[data-stop]");
  (isEnd ? isEnd.querySelector("[data-place] button:enabled") : button)?.focus({ preventScroll: true });
})();
