// What the pages do beyond HTML: they change as things happen, and logs can be
// searched and pointed into. Without it everything can still be read.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { $('say').textContent = text; };
  const fragment = (html) => {
    const t = document.createElement('template');
    t.innerHTML = html; // the server has escaped what strangers wrote
    return t.content;
  };

  // replace puts new content in place of elements, and leaves the focus where it was.
  function replace(parts) {
    const active = document.activeElement;
    for (const [id, html] of Object.entries(parts)) {
      const old = $(id);
      if (!old) {
        if (id === 'job-0') { location.reload(); return; } // the page was made before there was a plan
        continue;
      }
      const next = fragment(html).firstElementChild;
      const href = active && old.contains(active) && (active.getAttribute('href') || '');
      old.replaceWith(next);
      if (href) {
        const same = [...next.querySelectorAll('a')].find((a) => a.getAttribute('href') === href);
        if (same) same.focus({ preventScroll: true });
      }
    }
  }

  // Chips: the jobs of one state.
  const jobs = $('jobs');
  function chips() {
    if (!jobs || !$('run-chips')) return;
    for (const a of $('run-chips').querySelectorAll('a')) {
      if (a.dataset.show === jobs.dataset.show) a.setAttribute('aria-current', 'true');
      else a.removeAttribute('aria-current');
    }
  }
  chips();
  document.addEventListener('click', (e) => {
    const a = e.target.closest && e.target.closest('#run-chips a');
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    jobs.dataset.show = a.dataset.show;
    history.replaceState(null, '', a.getAttribute('href').replace('#h-jobs', ''));
    chips();
    say(a.textContent.trim() + ' shown');
  });

  // Live: what the server says while the page is open.
  const live = document.querySelector('[data-events]:not([data-events=""])');
  if (live && window.EventSource) {
    const source = new EventSource(live.dataset.events);
    const sign = (on) => { $('live').hidden = !on; };
    source.onopen = () => sign(true);
    source.onerror = () => sign(false);
    source.onmessage = (event) => {
      const m = JSON.parse(event.data);
      if (m.title) document.title = m.title + ' · cromt';
      if (m.parts) { replace(m.parts); chips(); }
      if (m.log && !$('log')) location.reload(); // it has begun
      else if (m.log) grow(m.log);
      if (m.say) say(m.say);
    };
    source.addEventListener('end', () => { source.close(); sign(false); });
    window.addEventListener('pagehide', () => source.close());
    window.addEventListener('pageshow', (e) => { if (e.persisted) location.reload(); });
  }

  // Lists are loaded again now and then, while somebody looks.
  const every = Number(document.body.dataset.refresh);
  if (every) {
    setInterval(async () => {
      if (document.hidden || $('list').contains(document.activeElement)) return;
      try {
        const got = await fetch(location.href, { headers: { Accept: 'text/html' } });
        if (!got.ok) return;
        const next = new DOMParser().parseFromString(await got.text(), 'text/html').getElementById('list');
        if (next && next.innerHTML !== $('list').innerHTML) $('list').replaceWith(next);
      } catch { /* it is tried again */ }
    }, every * 1000);
  }

  // A choice in a filter takes effect at once.
  for (const select of document.querySelectorAll('form.filter select')) {
    select.addEventListener('change', () => select.form.requestSubmit());
  }

  const log = $('log');
  if (!log) return;
  const lines = $('lines');
  const most = 5000; // lines in the page while it grows

  // Follow: the end of a log that grows stays in sight, until one scrolls up.
  const follow = $('follow');
  let following = Boolean(live) && !location.hash;
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  log.addEventListener('scroll', () => {
    following = atEnd();
    if (live) follow.hidden = following;
  }, { passive: true });
  follow.addEventListener('click', () => { following = true; toEnd(); });
  if (following || (log.dataset.first !== '1' && !location.search.includes('from=') && !location.hash)) toEnd();

  function grow(more) {
    const nothing = $('nothing');
    if (nothing) nothing.remove();
    lines.append(fragment(more.html));
    log.dataset.last = more.last;
    while (lines.childElementCount > most) lines.firstElementChild.remove();
    if (following) toEnd();
    if (find && find.value) search(false);
  }

  // Lines: #L12, or #L12-L20 by clicking with shift.
  let from = 0;
  const range = () => {
    const m = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
    return m && [Number(m[1]), Number(m[2] || m[1])].sort((a, b) => a - b);
  };
  function mark(scroll) {
    for (const l of lines.querySelectorAll('.sel')) l.classList.remove('sel');
    const r = range();
    if (!r) return;
    from = r[0];
    const first = $('L' + r[0]);
    if (!first) {
      if (r[0] >= 1 && !location.search.includes('from=' + Math.max(1, r[0] - 50) + '&') && r[0] <= Number(log.dataset.total)) {
        location.replace(log.dataset.self + '&from=' + Math.max(1, r[0] - 50) + '&' + location.hash);
      }
      return;
    }
    for (let n = r[0]; n <= r[1]; n++) {
      const l = $('L' + n);
      if (!l) break;
      l.classList.add('sel');
    }
    if (scroll) { following = false; first.scrollIntoView({ block: 'center' }); }
  }
  log.addEventListener('click', (e) => {
    const n = e.target.closest('a.n');
    if (!n) return;
    e.preventDefault();
    const to = Number(n.dataset.n);
    const hash = e.shiftKey && from && from !== to ? '#L' + Math.min(from, to) + '-L' + Math.max(from, to) : '#L' + to;
    history.replaceState(null, '', hash);
    mark(false);
  });
  window.addEventListener('hashchange', () => mark(true));
  mark(true);
  const error = document.querySelector('.first-error[href^="#L"]');
  if (error && $(error.hash.slice(1))) {
    const l = $(error.hash.slice(1));
    l.classList.add('err');
    if (!location.hash && !location.search.includes('from=')) log.scrollTop = l.offsetTop - log.offsetTop - log.clientHeight / 2;
  }
  const line = document.querySelector('form.goto');
  line.addEventListener('submit', (e) => {
    const n = Number(line.elements.from.value);
    if ($('L' + n)) {
      e.preventDefault();
      location.hash = '#L' + n;
      mark(true);
    }
  });

  // Search: in what is shown, as one types; enter goes on to the next one.
  const find = $('q');
  const hits = $('hits');
  let found = [];
  let at = -1;
  function search(jump) {
    for (const l of found) l.classList.remove('hit', 'at');
    const text = find.value.toLowerCase();
    found = text ? [...lines.querySelectorAll('.l')].filter((l) => l.lastElementChild.textContent.toLowerCase().includes(text)) : [];
    for (const l of found) l.classList.add('hit');
    if (jump) at = -1;
    hits.textContent = text ? (found.length ? found.length + ' in view' : 'none in view') : '';
    if (jump && found.length) next(1);
  }
  function next(step) {
    if (!found.length) return;
    if (found[at]) found[at].classList.remove('at');
    at = (at + step + found.length) % found.length;
    found[at].classList.add('at');
    following = false;
    found[at].scrollIntoView({ block: 'center' });
    hits.textContent = (at + 1) + ' of ' + found.length + ' in view';
  }
  let timer;
  find.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(() => search(true), 120); });
  find.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && found.length) { e.preventDefault(); next(e.shiftKey ? -1 : 1); }
    if (e.key === 'Escape') { find.value = ''; search(false); log.focus(); }
  });
  document.addEventListener('keydown', (e) => {
    if (e.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      find.focus();
    }
  });
})();
