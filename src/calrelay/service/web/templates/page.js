"use strict";
// Keeps the first page fresh; without it the page reloads itself and every form works as it is.
(() => {
  if (!("live" in document.body.dataset)) return;
  const EVERY = 3000;
  const lost = document.getElementById("lost");
  let isLeaving = false;
  addEventListener("submit", () => { isLeaving = true; });

  const isBusy = () => document.hidden || isLeaving || !getSelection().isCollapsed;

  const exchange = (fresh) => {
    const old = document.getElementById("live"), live = fresh.getElementById("live");
    if (!live || isBusy()) return;
    for (const details of old.querySelectorAll("details[open][id]")) {
      const same = live.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const id = focused && (focused.id || (focused.closest("details[id]") || {}).id);
    if (focused && !id) return;
    if (old.innerHTML !== live.innerHTML) old.replaceWith(document.adoptNode(live));
    const again = id && document.getElementById(id);
    if (again && !again.contains(document.activeElement)) (again.querySelector("summary") || again).focus({ preventScroll: true });
    document.title = fresh.title;
    const then = document.getElementById("as-of"), now = fresh.getElementById("as-of");
    if (then && now) then.replaceWith(document.adoptNode(now));
  };

  const look = async () => {
    if (isBusy()) return;
    try {
      const answer = await fetch(location.pathname, { signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      lost.hidden = true;
    } catch {
      lost.hidden = isLeaving;
    }
  };

  const again = () => setTimeout(async () => { await look(); again(); }, EVERY);
  addEventListener("visibilitychange", look);
  again();
})();
