// The jobs that failed for good: by what went wrong, and one by one.
import { act, canAct } from "./actions.js";
import { empty, fill, h, sheet, table } from "./dom.js";
import { ago, count, jobLink, name, row, visible } from "./format.js";
import { at, get } from "./store.js";

const GROUPS = [["Error", ""], ["Method", ""], ["It said", ""], ["Letters", "num"], ["First", "num"], ["Last", "num"], ["", ""]];
const LETTERS = [["Job", ""], ["Method", ""], ["Error", ""], ["It said", ""], ["Attempts", "num"], ["Worker", ""], ["Failed", "num"], ["", ""]];
const PAGE = 50;

export function dead(page) {
  const { store } = page;
  let [chosen, shown, seen] = [null, null, -1];
  const trail = [""];
  const [groups, letters] = [h("div", { class: "body" }), h("div", { class: "body" })];
  const all = h("div", { class: "row" });
  const older = h("button", { type: "button", class: "small" }, "Next page");
  const newer = h("button", { type: "button", class: "small" }, "Back");
  const every = h("button", { type: "button", class: "small quiet", hidden: true }, "Show all");
  const what = h("span", { class: "soft" });

  async function load() {
    try {
      const [found, page] = await Promise.all([get(at(store.queue, "dead", "groups")), get(at(store.queue, "dead"), { before: trail.at(-1), limit: PAGE, ...chosen })]);
      shown = page;
      showGroups(found);
      showLetters(page);
    } catch (error) {
      fill(groups, empty("The dead letters cannot be read", error.message));
    }
  }

  function showGroups(found) {
    const sum = found.reduce((total, one) => total + one.count, 0);
    const rows = found.map((one) => [
      h("button", { type: "button", class: "small quiet", "aria-label": `Show the letters of ${visible(one.error_type || "unknown")} in ${visible(one.method)}`, onclick: () => choose(one) }, h("b", { class: "bad" }, name(short(one.error_type)))),
      name(one.method, "cut short"),
      name(one.error, "cut"),
      count(one.count),
      ago(one.first_at, store.now()),
      ago(one.last_at, store.now()),
      tools({ method: one.method, error: one.error_type }, one.count, `${short(one.error_type)} in ${one.method}`),
    ]);
    fill(groups, rows.length ? table("Dead letters by error", GROUPS, rows) : empty("No dead letters", "Every job ended well, or may still do so."));
    fill(all, sum && found.length > 1 ? tools({ method: null, error: null }, sum, "all errors") : null);
  }

  function showLetters({ letters: found, next }) {
    const rows = found.map((one) => [
      jobLink(store.queue, one.id),
      name(one.method, "cut short"),
      h("span", { class: "bad" }, name(short(one.error_type), "cut short")),
      name(one.error, "cut"),
      one.crashes ? `${one.attempts}, ${one.crashes} ✕` : count(one.attempts),
      name(row(one.worker), "cut short"),
      ago(one.died_at, store.now()),
      tools({ jobs: [one.id] }, 1, one.id),
    ]);
    fill(letters, rows.length ? table("Dead letters", LETTERS, rows) : empty("None here", ""));
    older.disabled = !next;
    newer.disabled = trail.length === 1;
    what.textContent = chosen ? visible(`${short(chosen.error)} in ${chosen.method}`, 80) : "";
    every.hidden = !chosen;
  }

  function tools(body, many, label) {
    if (!canAct()) return h("span");
    const press = (text, kind, action, question) =>
      h("button", { type: "button", class: `small ${kind}`, "aria-label": `${text} ${visible(label, 80)}`, onclick: () => act(store.queue, action, body, question).then((done) => done && load()) }, text);
    const letters = `${count(many)} ${many === 1 ? "letter" : "letters"}`;
    const retry = many === 1 ? null : { title: `Retry ${letters}?`, text: `${visible(label, 120)}: each job runs once more, as if it were new.`, yes: "Retry" };
    return h("span", { class: "row" },
      press(many === 1 ? "Retry" : "Retry all", "", "retry", retry),
      press(many === 1 ? "Purge" : "Purge all", "danger", "purge", { title: `Purge ${letters}?`, text: `${visible(label, 120)}: arguments and errors are gone then.`, yes: "Purge" }));
  }

  function choose(group) {
    chosen = group && { method: group.method, error: group.error_type };
    trail.splice(0, trail.length, "");
    load();
  }

  older.addEventListener("click", () => { trail.push(shown.next); load(); });
  newer.addEventListener("click", () => { trail.pop(); load(); });
  every.addEventListener("click", () => choose(null));
  const note = canAct() ? null : h("span", { class: "faint" }, "This dashboard only reads. Retry and purge: pullet ui --allow-actions");
  fill(
    page.root,
    h("div", { class: "head" }, h("h1", {}, "Dead letters"), h("span", { class: "spring" }), note, all),
    sheet("By error", "", groups),
    h("p", {}),
    sheet("Letters", "", letters, what, every, h("span", { class: "spring" }), newer, older),
  );
  load();
  return {
    update() {
      const now = store.summary?.dead ?? 0;
      if (seen >= 0 && now !== seen && !document.querySelector("dialog[open]")) load();
      seen = now;
    },
    reload: load,
  };
}

const short = (type) => (type ? type.replace(/^builtins\./, "") : "unreadable");
