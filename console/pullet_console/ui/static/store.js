// What the server tells while the page is open.

const SAMPLES = 900;
const SPAN_S = 300;

export class Store {
  constructor(queue, onMessage, onLost) {
    this.queue = queue;
    this.samples = [];
    this.bars = [];
    this.message = null;
    this.busy = new Map(); // consumer -> the first and the last look at its run time, some half a minute apart
    this.offset = null;
    this.onMessage = onMessage;
    this.source = new EventSource(`/api/live?queue=${encodeURIComponent(queue)}`);
    this.source.addEventListener("start", (event) => this.take(JSON.parse(event.data), true));
    this.source.addEventListener("turn", (event) => this.take(JSON.parse(event.data), false));
    this.source.addEventListener("error", onLost);
  }

  take(message, first) {
    this.message = message;
    const news = message.queue;
    if (news) {
      this.samples = first ? news.samples : [...this.samples, ...news.samples].slice(-SAMPLES);
      const now = this.samples.at(-1)[0];
      this.offset = now - performance.now() / 1000;
      const fresh = news.bars.map(([row, method, outcome, start, end, jobs, job]) => ({ row, method, outcome, start, end, jobs, job }));
      this.bars = (first ? fresh : [...this.bars, ...fresh]).filter((bar) => bar.end > now - SPAN_S - 5);
      this.noteBusy(news.workers, now);
    }
    document.body.dataset.turns = +(document.body.dataset.turns ?? 0) + 1;
    this.onMessage(message);
  }

  // The server's time now, as far as we can tell.
  now() {
    return this.offset === null ? Date.now() / 1000 : this.offset + performance.now() / 1000;
  }

  get summary() {
    return this.message?.queues.find((one) => one.summary.name === this.queue)?.summary;
  }

  noteBusy(workers, now) {
    const known = new Map();
    for (const worker of workers) {
      const looks = [...(this.busy.get(worker.consumer) ?? []), [now, worker.busy_s]];
      known.set(worker.consumer, looks.slice(-30));
    }
    this.busy = known;
  }

  // Which part of its time a worker has run jobs; null where that cannot be told yet.
  share(consumer) {
    const looks = this.busy.get(consumer);
    if (!looks || looks.length < 5) return null;
    const [first, last] = [looks[0], looks.at(-1)];
    return Math.max(0, (last[1] - first[1]) / (last[0] - first[0]));
  }

  close() {
    this.source.close();
  }
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  const answer = await fetch(`/api/${path}${query.size ? `?${query}` : ""}`);
  return read(answer);
}

export async function post(path, body, token) {
  const headers = { "content-type": "application/json", "x-pullet-action": token };
  return read(await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function read(answer) {
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? answer.statusText);
  return found;
}

export const at = (queue, ...more) => ["queues", queue, ...more].map(encodeURIComponent).join("/");
