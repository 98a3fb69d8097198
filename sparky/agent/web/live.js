"use strict";
// The log of a running build grows without loading the page again.
(() => {
  const log = document.getElementById("log");
  const note = document.getElementById("live");
  if (!log || !log.dataset.live || !window.EventSource) return;
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.scrollTop = log.scrollHeight;
  note.textContent = "Live.";
  const source = new EventSource(log.dataset.live);
  source.addEventListener("log", (e) => {
    const follow = atEnd();
    log.insertAdjacentHTML("beforeend", JSON.parse(e.data)); // the agent has escaped it
    while (log.childNodes.length > 20000) log.firstChild.remove();
    if (follow) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("state", (e) => {
    const word = JSON.parse(e.data);
    const state = document.getElementById("state");
    state.textContent = word;
    state.className = "state " + word.toLowerCase();
    note.textContent = "Live.";
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
  source.onerror = () => { note.textContent = "The connection was lost; trying again …"; };
})();
