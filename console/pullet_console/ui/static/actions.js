// What the page may do, where it may do anything.
import { h, tell } from "./dom.js";
import { at, post } from "./store.js";

let session = { may_act: false, action_token: "" };

export const setSession = (given) => { session = given; };
export const canAct = () => session.may_act;

// Asks where there is a question, acts, and says what was done. False where it was not done.
export async function act(queue, action, body, question) {
  if (question && !(await ask(question))) return false;
  try {
    const done = await post(at(queue, "actions", action), body, session.action_token);
    tell(describe(action, done));
    return true;
  } catch (error) {
    tell(error.message);
    return false;
  }
}

function describe(action, done) {
  if (done.retried !== undefined) return `${done.retried} ${done.retried === 1 ? "job runs" : "jobs run"} once more`;
  if (done.purged !== undefined) return `${done.purged} ${done.purged === 1 ? "letter" : "letters"} purged`;
  if (done.answer) return { CANCELLED: "Cancelled", DONE: "It had ended already", ASKED: "It ends as cancelled at the next hand that touches it" }[done.answer] ?? done.answer;
  return { pause: "Paused: nobody takes jobs any more", resume: "Jobs are taken again" }[action] ?? "Done";
}

export function ask({ title, text, yes }) {
  return new Promise((resolve) => {
    const no = h("button", { type: "button" }, "Leave it");
    const go = h("button", { type: "button", class: "main" }, yes);
    const dialog = h("dialog", { "aria-labelledby": "question" }, h("h2", { id: "question" }, title), h("p", {}, text), h("div", { class: "row" }, no, go));
    const end = (answer) => { dialog.close(); dialog.remove(); resolve(answer); };
    no.addEventListener("click", () => end(false));
    go.addEventListener("click", () => end(true));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); end(false); });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
