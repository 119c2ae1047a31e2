// The page asks two functions for the same text, and shows when each byte of it arrived.

const ADMIN = document.querySelector("meta[name=dialback-admin]").content;
const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;
const SHOWN_EXCHANGES = 5;
const EVENTS = 10;

const byId = (id) => document.getElementById(id);
const field = (element, name) => element.querySelector(`[data-field=${name}]`);
const show = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const count = (number) => number.toLocaleString("en");

// ---------------------------------------------------------------- one side of the race

class Panel {
  constructor(element) {
    this.element = element;
    this.name = element.dataset.name;
  }

  async run() {
    this.start = performance.now();
    this.firstAt = this.endAt = null;
    this.pieces = this.bytes = 0;
    field(this.element, "text").textContent = "";
    field(this.element, "lane").replaceChildren();
    this.state("waiting");
    try {
      await this.read(await fetch(this.element.dataset.url, { cache: "no-store" }));
      this.state("complete");
    } catch (error) {
      this.state("failed");
      field(this.element, "text").append(`\n[${error.message}]`);
    }
    this.endAt = performance.now() - this.start;
    this.draw();
  }

  async read(response) {
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.piece(value.length, decoder.decode(value, { stream: true }));
    }
  }

  piece(length, text) {
    const at = performance.now() - this.start;
    if (this.firstAt === null) {
      this.firstAt = at;
      this.state("arriving");
    }
    this.pieces += 1;
    this.bytes += length;
    const answer = field(this.element, "text");
    answer.append(text);
    answer.scrollTop = answer.scrollHeight;
    const tick = document.createElement("i");
    tick.style.setProperty("--at", at.toFixed(1));
    tick.style.setProperty("--size", Math.min(1, 0.35 + length / 40).toFixed(2));
    field(this.element, "lane").append(tick);
  }

  state(name) {
    this.element.dataset.state = name;
    show(field(this.element, "state"), name);
  }

  get failed() {
    return this.element.dataset.state === "failed";
  }

  get elapsed() {
    return this.endAt ?? performance.now() - this.start;
  }

  draw() {
    const first = this.firstAt ?? this.elapsed;
    const long = first >= 1000;
    show(field(this.element, "ttfb"), long ? (first / 1000).toFixed(2) : first.toFixed(0));
    show(field(this.element, "unit"), long ? "s" : "ms");
    show(field(this.element, "pieces"), count(this.pieces));
    show(field(this.element, "bytes"), count(this.bytes));
    show(field(this.element, "total"), seconds(this.elapsed));
    if (this.endAt !== null) this.describe();
  }

  describe() {
    const when = this.firstAt === null ? "" : `, the first after ${Math.round(this.firstAt)} ms`;
    const lane = field(this.element, "lane");
    lane.ariaLabel = `${this.pieces} pieces in ${seconds(this.endAt)}${when}`;
  }
}

const panels = [new Panel(byId("buffered")), new Panel(byId("streamed"))];
let racing = false;

async function race() {
  if (racing) return;
  racing = true;
  byId("run").disabled = true;
  show(byId("verdict"), "Both have been asked.");
  const lanes = document.querySelector(".race");
  const drawing = setInterval(draw, CALM ? 500 : 33);
  function draw() {
    // Both lanes share one time axis, which grows with the slower of the two.
    const span = Math.max(1000, ...panels.map((panel) => panel.elapsed));
    lanes.style.setProperty("--span", span.toFixed(0));
    panels.forEach((panel) => panel.draw());
  }
  await Promise.all(panels.map((panel) => panel.run()));
  clearInterval(drawing);
  draw();
  show(byId("verdict"), verdict(...panels));
  byId("run").disabled = false;
  racing = false;
}

function verdict(buffered, streamed) {
  const broken = [buffered, streamed].filter((panel) => panel.failed || panel.firstAt === null);
  if (broken.length) return `${broken.map((panel) => panel.name).join(" and ")}: no whole answer.`;
  const times = buffered.firstAt / streamed.firstAt;
  const rounded = times >= 10 ? Math.round(times) : times.toFixed(1);
  const [soon, late] = [Math.round(streamed.firstAt), seconds(buffered.firstAt)];
  return `First byte ${rounded} times sooner: ${soon} ms instead of ${late}.`;
}

// ---------------------------------------------------------------- server-sent events

const sse = byId("sse");
let source = null;

function listen() {
  if (source) return;
  const opened = performance.now();
  let received = 0;
  source = new EventSource("/events");
  byId("listen").disabled = true;
  sseState("connecting");
  mark(0);
  show(field(sse, "log"), "Waiting for the first event.");

  source.onopen = () => sseState("open");
  source.onmessage = (event) => {
    received += 1;
    mark(received);
    const at = ((performance.now() - opened) / 1000).toFixed(2);
    show(field(sse, "log"), `data: ${event.data}   after ${at} s`);
  };
  source.addEventListener("end", (event) => hangUp("complete", `event: end, "${event.data}"`));
  // EventSource would dial again by itself; a demo shows the break instead.
  source.onerror = () => hangUp("failed", "The stream broke off.");
}

function hangUp(state, text) {
  source.close();
  source = null;
  sseState(state);
  show(field(sse, "log"), text);
  byId("listen").disabled = false;
}

function sseState(name) {
  sse.dataset.state = name;
  show(field(sse, "state"), name);
}

function mark(received) {
  const dots = field(sse, "dots");
  dots.ariaLabel = `${received} of ${EVENTS} events`;
  [...dots.children].forEach((dot, index) => dot.toggleAttribute("data-on", index < received));
}

// ---------------------------------------------------------------- the list of exchanges

const OVER = new Set(["completed", "failed", "cancelled", "ended"]);
const seen = new Map();
const rows = new Map();
let arrivals = 0;

async function watchExchanges() {
  for (;;) {
    if (!document.hidden) await pollExchanges();
    const busy = racing || source !== null;
    await new Promise((resolve) => setTimeout(resolve, busy ? 250 : 1000));
  }
}

async function pollExchanges() {
  try {
    const answer = await fetch(`${ADMIN}/exchanges`, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    remember(await answer.json());
    liveState("live", "live");
  } catch {
    liveState("failed", "not readable from here");
  }
  drawExchanges();
}

function liveState(state, text) {
  byId("live").dataset.state = state;
  show(byId("live"), text);
}

// The gateway lists the oldest first. What it no longer lists has ended.
function remember(listed) {
  const ids = new Set(listed.map((exchange) => exchange.id));
  for (const exchange of seen.values()) {
    exchange.listed = ids.has(exchange.id);
    if (!exchange.listed && !OVER.has(exchange.state)) exchange.state = "ended";
  }
  for (const exchange of listed) {
    const order = seen.get(exchange.id)?.order ?? (arrivals += 1);
    seen.set(exchange.id, { ...exchange, order, listed: true });
  }
}

function drawExchanges() {
  const byNeed = (a, b) => OVER.has(a.state) - OVER.has(b.state) || b.order - a.order;
  const shown = [...seen.values()].sort(byNeed);
  for (const hidden of shown.splice(SHOWN_EXCHANGES)) {
    rows.delete(hidden.id);
    if (!hidden.listed) seen.delete(hidden.id);
  }
  const body = byId("exchanges");
  shown.forEach((exchange, index) => {
    const row = rows.get(exchange.id) ?? newRow(exchange.id);
    fill(row, exchange);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  while (body.children.length > shown.length) body.lastChild.remove();
}

function newRow(id) {
  const row = document.createElement("tr");
  for (let cell = 0; cell < 5; cell += 1) row.append(document.createElement("td"));
  row.cells[2].append(document.createElement("span"));
  rows.set(id, row);
  return row;
}

function fill(row, exchange) {
  row.dataset.state = exchange.state;
  show(row.cells[0], exchange.id.slice(0, 8));
  show(row.cells[1], exchange.route);
  show(row.cells[2].firstChild, exchange.state);
  show(row.cells[3], count(exchange.bytes));
  show(row.cells[4], `${Number(exchange.age).toFixed(1)} s`);
}

// ---------------------------------------------------------------- begin

field(sse, "dots").append(...Array.from({ length: EVENTS }, () => document.createElement("li")));
byId("run").addEventListener("click", race);
byId("listen").addEventListener("click", listen);
watchExchanges();
race();
listen();
