// Forms with data-offline are kept on the phone before they are sent, so that nothing is lost where
// there is no network; they are sent when it is back, each of them once: the server knows their key.
"use strict";

const Waiting = (() => {
  const STORE = "forms";
  const SLOW = 15000; // milliseconds
  const SLOWEST = 10; // bytes in a millisecond, for photos
  const me = document.body.dataset.user;

  function open() {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open("outreach", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  async function inStore(mode, work) {
    const database = await open();
    try {
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, mode);
        const request = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  }

  const put = (kept) => inStore("readwrite", (store) => store.put(kept));
  const forget = (key) => inStore("readwrite", (store) => store.delete(key));

  // Unless it was sent anew from its page meanwhile, which says more than an answer that comes late.
  const noteAnswer = (kept, answer) =>
    inStore("readwrite", (store) => {
      const request = store.get(kept.key);
      request.onsuccess = () => request.result?.at === kept.at && store.put({ ...kept, ...answer });
      return request;
    });

  async function list() {
    const all = await inStore("readonly", (store) => store.getAll());
    return all.filter((kept) => kept.user === me).sort((one, other) => one.at - other.at);
  }

  // What the button says with which a form is sent.
  const pressed = (button) => (button?.name ? [[button.name, button.value]] : []);

  // A field for files of which none was chosen.
  const isEmpty = (value) => value instanceof File && !value.size;

  async function keep(form, button) {
    const fields = [...new FormData(form), ...pressed(button)];
    const kept = {
      key: form.elements.client_key.value,
      user: me,
      url: form.action,
      page: form.dataset.page ?? new URL(form.action).pathname,
      label: form.dataset.label,
      fields: fields.filter(([name, value]) => name !== "csrf_token" && !isEmpty(value)),
      at: Date.now(),
    };
    await put(kept);
    return kept;
  }

  // Reads the answer to its end: one that nobody reads keeps its connection.
  async function ask(url, options, patience = SLOW) {
    const headers = { Accept: "application/json" };
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(patience), ...options });
    const text = await answer.text();
    return { ok: answer.ok, status: answer.status, json: () => JSON.parse(text) };
  }

  // {next} once the server has it, {isRefused} when a person must look, else nothing: it waits.
  async function send(kept) {
    try {
      const session = await ask("/session");
      const { user, csrf_token: token } = session.ok ? session.json() : {};
      if (user !== kept.user) return {};
      const body = new FormData();
      kept.fields.forEach(([name, value]) => body.append(name, value));
      body.append("csrf_token", token);
      const size = kept.fields.reduce((sum, [, value]) => sum + (value.size ?? 0), 0);
      const answer = await ask(kept.url, { method: "POST", body }, SLOW + size / SLOWEST);
      if (answer.ok) {
        const { next } = answer.json();
        await forget(kept.key);
        return { next };
      }
      const isRefused = [403, 404, 409, 413, 422].includes(answer.status);
      if (isRefused) await noteAnswer(kept, { isRefused, isTooLarge: answer.status === 413 });
      return { isRefused };
    } catch {
      return {};
    }
  }

  // One tab at a time; returns how many the server has taken.
  async function sendAll() {
    const kept = await list();
    if (!kept.length) return 0;
    const work = async (lock) => {
      let count = 0;
      for (const form of lock === null ? [] : kept) if ((await send(form)).next) count += 1;
      return count;
    };
    return navigator.locks ? navigator.locks.request("waiting", { ifAvailable: true }, work) : work();
  }

  // A phone may believe that it is connected, or not say when it is again.
  const isReachable = () => ask("/healthz").then(() => true, () => false);

  return { SLOW, pressed, keep, send, sendAll, list, forget, isReachable };
})();

// The note above every page: no network, what waits, and what the server would not take.
const note = document.getElementById("waiting");

async function tell(isOnline) {
  const kept = await Waiting.list();
  const refused = kept.filter((form) => form.isRefused);
  const waiting = kept.length - refused.length;
  const show = (name, isShown) => (note.querySelector(`[data-${name}]`).hidden = !isShown);
  show("no-network", !isOnline);
  for (const part of document.querySelectorAll("[data-online]")) part.hidden = !isOnline;
  show("some-wait", waiting);
  show("some-refused", refused.length);
  note.querySelector("[data-count]").textContent = waiting;
  const list = note.querySelector("[data-list]");
  list.replaceChildren(...refused.map(makeRow));
  note.hidden = isOnline && !kept.length;
  for (const form of kept) mark(form);
}

// A visit or a call that waits must not be logged a second time.
function mark({ page }) {
  for (const link of document.querySelectorAll("main a")) {
    if (link.pathname !== page) continue;
    link.classList.add("disabled");
    link.setAttribute("aria-disabled", "true");
    link.textContent = note.dataset.waits;
  }
}

function makeRow(form) {
  const row = note.querySelector("template").content.cloneNode(true);
  row.querySelector("[data-label]").textContent = form.label;
  row.querySelector("[data-open]").addEventListener("click", () => openAgain(form));
  row.querySelector("[data-drop]").addEventListener("click", async ({ target }) => {
    if (!window.confirm(target.dataset.ask)) return;
    await Waiting.forget(form.key);
    window.location.reload();
  });
  return row;
}

// As if it were sent from its page: the server shows what is wrong beside what was typed.
async function openAgain({ url, fields, isTooLarge }) {
  const session = await (await fetch("/session", { headers: { Accept: "application/json" } })).json();
  const again = document.createElement("form");
  Object.assign(again, { method: "post", action: url, enctype: "multipart/form-data", hidden: true });
  for (const [name, value] of [...fields, ["csrf_token", session.csrf_token]]) {
    if (typeof value === "string") again.append(makeField({ name, value }));
    // What is too large to be sent stays on the phone: without it the rest can be saved.
    else if (!isTooLarge) again.append(makeField({ name, type: "file", files: holding(value) }));
  }
  document.body.append(again);
  again.submit();
}

const makeField = (values) => Object.assign(document.createElement("input"), values);

function holding(file) {
  const held = new DataTransfer();
  held.items.add(file);
  return held.files;
}

const AGAIN = 15000; // milliseconds
let timer = null;

async function sendWaiting() {
  window.clearTimeout(timer);
  const isKept = document.querySelector("[data-keep-offline], [data-offline]");
  const isAsked = isKept || (await Waiting.list()).length;
  const isOnline = isAsked ? await Waiting.isReachable() : navigator.onLine;
  const count = isOnline ? await Waiting.sendAll() : 0;
  await tell(isOnline);
  if (count && document.querySelector("[data-keep-offline]")) window.location.reload();
  else if (!isOnline || (await Waiting.list()).length) timer = window.setTimeout(sendWaiting, AGAIN);
}

async function keepPages() {
  const day = document.querySelector("[data-keep-offline]");
  if (!day) return;
  const links = [...day.querySelectorAll("a[data-log]")].map((link) => link.pathname);
  const { active } = await navigator.serviceWorker.ready;
  active.postMessage({ keep: [day.dataset.keepOffline, ...links] });
}

if (note && "indexedDB" in window) {
  sendWaiting();
  for (const name of ["online", "offline"]) window.addEventListener(name, sendWaiting);
  document.addEventListener("visibilitychange", () => document.hidden || sendWaiting());
}
if (note && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js").then(keepPages);
}

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.matches("[data-offline]") || event.defaultPrevented || !("indexedDB" in window)) return;
  event.preventDefault();
  try {
    const kept = await Waiting.keep(form, submitter);
    const later = new Promise((resolve) => setTimeout(resolve, Waiting.SLOW, {}));
    const { next, isRefused } = await Promise.race([Waiting.send(kept), later]);
    if (!isRefused) return window.location.assign(next ?? form.dataset.offline);
    await Waiting.forget(kept.key);
  } catch {
    // No store, as in a private window: it is sent as without this file.
  }
  for (const [name, value] of Waiting.pressed(submitter)) {
    form.append(makeField({ name, value, type: "hidden" }));
  }
  form.submit();
});
