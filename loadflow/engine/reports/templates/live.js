"use strict";
(function () {
  if (window.loadflowLive) return; // it runs again with the report's script, whenever the charts were drawn anew
  window.loadflowLive = true;
  const REDRAW_MS = 10000;
  const SECTIONS = ["h-figures", "h-tested", "h-thresholds", "h-course", "h-environment"];
  const live = document.getElementById("live");
  const state = document.getElementById("live-state");
  const buttons = document.getElementById("live-buttons");
  const stop = document.getElementById("live-stop");
  const token = new URLSearchParams(location.hash.slice(1)).get("stop");
  const source = new EventSource("live?after=" + document.getElementById("report-data").dataset.second);
  let drawnAt = performance.now();
  let drawing = false;

  const say = (words) => (state.textContent = words);

  function readingCloser() {
    const all = document.getElementById("show-all");
    return document.hidden || document.querySelector("svg.chart:hover, details[open]") !== null || (all !== null && !all.hidden);
  }

  async function redraw() {
    if (drawing || readingCloser() || performance.now() - drawnAt < REDRAW_MS) return;
    drawing = true;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok || page.getElementById("live") === null) return; // the run is over: the event that says so is under way
      for (const id of SECTIONS) {
        const [old, fresh] = [document, page].map((one) => one.querySelector(`section[aria-labelledby="${id}"]`));
        if (old && fresh) old.replaceWith(fresh);
      }
      const json = 'script[type="application/json"]';
      document.querySelector(json).textContent = page.querySelector(json).textContent;
      const old = document.querySelector("script:not([type])");
      const again = document.createElement("script");
      again.textContent = old.textContent;
      old.replaceWith(again);
    } catch {
      // the server is away; the stream says so and comes back by itself
    } finally {
      drawing = false;
      drawnAt = performance.now();
    }
  }

  source.addEventListener("open", () => say("live"));
  source.addEventListener("error", () => say("no connection; trying again"));
  source.addEventListener("second", (event) => {
    const { shown } = JSON.parse(event.data);
    for (const [name, words] of Object.entries(shown || {})) {
      const place = live.querySelector(`[data-live="${name}"]`);
      if (place) place.textContent = words;
    }
    redraw();
  });
  source.addEventListener("end", (event) => {
    source.close();
    buttons.hidden = true;
    if (!JSON.parse(event.data).report) return say("the run was cut off: the process that made the load is gone");
    say("the load is over; making the report");
    history.replaceState(null, "", location.pathname);
    location.reload();
  });

  async function ask(button, what, body) {
    button.disabled = true;
    const asked = { method: "POST", headers: { Authorization: "Bearer " + token }, body };
    const answer = await fetch(what, asked).catch(() => null);
    say(answer === null ? "no connection" : await answer.text());
    return answer !== null && answer.ok;
  }

  if (token !== null && live.dataset.stop === "yes") {
    buttons.hidden = false;
    stop.addEventListener("click", async () => {
      if (!window.confirm("End this load now? The results up to now are kept, and the verdict will be: interrupted.")) return;
      stop.disabled = await ask(stop, "stop");
    });
    for (const button of buttons.querySelectorAll("[data-factor]")) {
      button.addEventListener("click", async () => {
        await ask(button, "rate", button.dataset.factor);
        button.disabled = false;
      });
    }
  } else {
    document.getElementById("live-no-stop").hidden = false;
  }
})();
