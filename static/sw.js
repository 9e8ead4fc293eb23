// Keeps what a person needs on the road: «my day» and the forms of its visits and calls. The network
// always comes first; what was kept answers when there is none, or when it takes too long.
"use strict";

const PAGES = "pages";
const FILES = "files";
const ELSE = "/offline";
const DAY = "/my-day";
const PATIENCE = 4000; // milliseconds

self.addEventListener("install", (event) => {
  event.waitUntil(keep(FILES, ELSE).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// A page says what is to be kept; what was kept before and is not named goes.
self.addEventListener("message", (event) => {
  if (event.data.keep) event.waitUntil(keepOnly(event.data.keep));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (pathname.startsWith("/static/")) event.respondWith(answerFile(request));
  else if (request.mode === "navigate") event.respondWith(answerPage(request, pathname));
});

async function answerFile(request) {
  const kept = await (await caches.open(FILES)).match(request);
  if (!kept) return fetch(request);
  try {
    return await inTime(fetch(request));
  } catch {
    return kept;
  }
}

async function answerPage(request, path) {
  const pages = await caches.open(PAGES);
  const kept = await pages.match(path);
  try {
    const answer = await (kept ? inTime(fetch(request)) : fetch(request));
    // Whoever signs in next must not find what was kept for somebody else.
    if (path === "/login" && answer.ok) await caches.delete(PAGES);
    return answer;
  } catch {
    return kept ?? (await findDay(pages, path)) ?? caches.match(ELSE);
  }
}

async function findDay(pages, path) {
  if (path !== "/" && !path.endsWith(DAY)) return undefined;
  const day = (await pages.keys()).find((request) => new URL(request.url).pathname.endsWith(DAY));
  return day && pages.match(day);
}

async function keepOnly([day, ...forms]) {
  await keep(PAGES, day); // without a network all stays as it is
  // One after the other: what a person does meanwhile comes first.
  for (const path of forms) await keep(PAGES, path).catch(() => null);
  const pages = await caches.open(PAGES);
  for (const request of await pages.keys()) {
    if (![day, ...forms].includes(new URL(request.url).pathname)) await pages.delete(request);
  }
}

// With the scripts and styles that the page names. The server is told that nobody reads it yet: what
// it has to say to the person waits for the page that they see.
async function keep(name, path) {
  const answer = await fetch(path, { headers: { "X-Kept": "1" } });
  if (!answer.ok || answer.redirected) throw new Error(`${path}: ${answer.status}`);
  await (await caches.open(name)).put(path, answer.clone());
  const files = await caches.open(FILES);
  const named = [...(await answer.text()).matchAll(/(?:src|href)="(\/static\/[^"]+)"/g)];
  await Promise.allSettled(named.map(([, file]) => files.add(file)));
}

function inTime(promise) {
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error("late")));
  return Promise.race([promise, late]);
}
