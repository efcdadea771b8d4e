// Follow the site without a reload: take the parts that have changed from a new page, and count
// seconds.  Without scripts the page is whole; it only stands still.
"use strict";

const link = document.getElementById("link");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
let ahead = 0; // how far this browser's clock is ahead of the site's, in seconds
let wanted = false;
let busy = false;

function say(text, level) {
  link.hidden = false;
  link.textContent = text;
  link.className = `chip ${level}`;
}

function setClock(page) {
  const now = Number(page.getElementById("main").dataset.now);
  ahead = Date.now() / 1000 - now;
}

function inWords(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function tick() {
  const now = Date.now() / 1000 - ahead;
  for (const each of document.querySelectorAll("[data-since]")) {
    const seconds = now - Number(each.dataset.since);
    if (each.tagName === "PROGRESS") each.value = Math.min(each.max, Math.max(0, seconds));
    else each.textContent = inWords(seconds);
  }
  for (const each of document.querySelectorAll("[data-until]")) {
    each.textContent = inWords(Number(each.dataset.until) - now);
  }
}

function moveServer(from) {
  const mark = document.getElementById("server");
  if (!from || !mark || calm.matches || from.vendor === mark.dataset.vendor) return;
  const dx = Number(from.x) - Number(mark.dataset.x);
  const dy = Number(from.y) - Number(mark.dataset.y);
  const place = `translate(${mark.dataset.x}px, ${mark.dataset.y}px)`;
  const start = `${place} translate(${dx}px, ${dy}px)`;
  mark.animate([{ transform: start }, { transform: place }], { duration: 900, easing: "ease-in-out" });
}

// What a reader has opened, scrolled, or reached with the keyboard stays as it is.
function putInPlace(old, fresh) {
  const open = [...old.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...old.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const focusable = "a, summary, [tabindex]";
  const focused = [...old.querySelectorAll(focusable)].indexOf(document.activeElement);
  const adopted = document.importNode(fresh, true);
  old.replaceWith(adopted);
  adopted.querySelectorAll("details").forEach((each, at) => { each.open = Boolean(open[at]); });
  adopted.querySelectorAll(".scroll").forEach((each, at) => { each.scrollLeft = scrolled[at] || 0; });
  if (focused >= 0) {
    const again = adopted.querySelectorAll(focusable)[focused];
    if (again) again.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (busy) { wanted = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.pathname + location.search, { credentials: "same-origin" });
    if (answer.status === 401) { say("signed out", "bad"); return; }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const mark = document.getElementById("server");
    const from = mark && { ...mark.dataset };
    for (const fresh of page.querySelectorAll("[data-part]")) {
      const old = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
      if (old && old.outerHTML !== fresh.outerHTML) putInPlace(old, fresh);
    }
    setClock(page);
    moveServer(from);
    tick();
  } catch {
    // The stream says that the connection is lost, and comes back by itself.
  } finally {
    busy = false;
    if (wanted) { wanted = false; setTimeout(refresh, 300); }
  }
}

setClock(document);
setInterval(tick, 1000);
const stream = new EventSource("/events");
stream.addEventListener("open", () => say("live", "good"));
stream.addEventListener("changed", refresh);
stream.addEventListener("error", () => {
  const over = stream.readyState === EventSource.CLOSED;
  say(over ? "not live: reload the page" : "connection lost", "bad");
});
