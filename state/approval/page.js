// Keeps the list as it is on the server. Without JavaScript a person reloads.
"use strict";
const live = document.querySelector("main[data-live]");
if (live) {
  setInterval(async () => {
    try {
      const answer = await fetch(location.pathname, { redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (fresh) live.replaceChildren(...fresh.childNodes);
    } catch { /* the server may come back */ }
  }, 2000);
}
