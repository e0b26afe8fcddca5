// Keeps the page up to date. Without it the page still works, and is loaded anew every half minute.
(() => {
  "use strict";
  const SECONDS = 5;
  const note = document.getElementById("updated");

  const busy = () => {
    const active = document.activeElement;
    const typing = active && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
    return document.hidden || typing || !getSelection().isCollapsed;
  };

  const put = (fresh) => {
    const main = document.querySelector("main");
    const open = new Map([...main.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement.id : "";
    const href = document.activeElement && main.contains(document.activeElement)
      ? document.activeElement.getAttribute("href") : null;
    const scrolled = [...main.querySelectorAll(".scroll")].map((s) => s.scrollLeft);
    main.replaceChildren(...fresh.childNodes);
    for (const [id, is] of open) { const d = document.getElementById(id); if (d) d.open = is; }
    main.querySelectorAll(".scroll").forEach((s, i) => { s.scrollLeft = scrolled[i] || 0; });
    const again = focused ? document.getElementById(focused)
      : href ? main.querySelector(`a[href="${CSS.escape(href)}"]`) : null;
    if (again) again.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (busy()) return;
      put(page.querySelector("main"));
      note.textContent = "updated " + new Date().toLocaleTimeString();
      document.body.classList.remove("old");
    } catch (error) {
      note.textContent = "no answer from the operator; what you see is old";
      document.body.classList.add("old");
    }
  };

  setInterval(refresh, SECONDS * 1000);
  document.addEventListener("visibilitychange", refresh);
})();
