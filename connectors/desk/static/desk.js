// Keeps the page of a customer fresh: asks every two seconds, changes only the parts that changed.
"use strict";
(() => {
  const EVERY_MS = 2000; // an agent on a call sees a new order before the customer has said it
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = document.cookie.split("; ").find((pair) => pair.startsWith("desk_zone="));
  if (zone && known !== `desk_zone=${encodeURIComponent(zone)}`) {
    document.cookie = `desk_zone=${encodeURIComponent(zone)}; path=/desk; max-age=31536000; samesite=strict`;
    if (!known && document.cookie.includes("desk_zone=") && document.getElementById("live")) location.reload();
  }
  const live = document.getElementById("live");
  const state = document.getElementById("state");
  if (!live) return;
  let tag = "";
  const say = (fine) => {
    state.textContent = fine ? state.dataset.live : state.dataset.offline;
    state.classList.toggle("offline", !fine);
  };
  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const fold of live.querySelectorAll("details[id]")) {
      const twin = fresh.getElementById(fold.id); // what an agent has opened stays open
      if (twin) twin.open = fold.open;
    }
    const have = [...live.querySelectorAll("[data-part]")].map((part) => part.dataset.part).join();
    const want = [...fresh.querySelectorAll("[data-part]")].map((part) => part.dataset.part).join();
    if (have !== want) {
      live.replaceChildren(...fresh.body.childNodes);
      return;
    }
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = live.querySelector(`[data-part="${part.dataset.part}"]`);
      if (old.outerHTML !== part.outerHTML) old.replaceWith(part);
    }
  };
  const ask = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.from, { headers: tag ? { "If-None-Match": tag } : {}, redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 401) { location.assign("/desk"); return; }
      if (answer.status === 200) { show(await answer.text()); tag = answer.headers.get("ETag") ?? ""; }
      say(answer.ok || answer.status === 304);
    } catch { say(false); }
  };
  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
})();
