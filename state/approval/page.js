// Keeps a list, or one request, as it is on the server; what is typed stays. Without
// JavaScript a person reloads.
"use strict";
const main = document.querySelector("main[data-live]");
const away = document.querySelector(".away");
const left = (m) => m.querySelectorAll(".left");

// same is what m shows besides the time that is left.
function same(m) {
  const copy = m.cloneNode(true);
  left(copy).forEach((e) => e.replaceChildren());
  return copy.innerHTML;
}

async function look() {
  try {
    const shown = [...main.querySelectorAll("[name=digest]")].map((e) => "digest=" + e.value);
    const answer = await fetch(location.pathname + "?" + shown.join("&"), { redirect: "error" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const form = main.querySelector("form") && fresh.querySelector("form");
    if (form || same(fresh) === same(main)) left(fresh).forEach((e, i) => left(main)[i].replaceChildren(...e.childNodes));
    else main.replaceChildren(...fresh.childNodes);
    away.hidden = true;
  } catch {
    away.hidden = false;
  }
}
if (main) setInterval(look, 2000);
