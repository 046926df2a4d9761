// Filters, order and navigation of the rollouts.

const PER_PAGE = { rollouts: 20, groups: 6 };

const index = read("index");
const columns = ["group", "step", "task", "reward", "terms", "defects", "advantage"];
const rollouts = index.rows.map((row, number) =>
  Object.fromEntries([["number", number], ...columns.map((name, place) => [name, row[place]])]));
const groups = [];
for (const rollout of rollouts) (groups[rollout.group] ??= []).push(rollout);
const flags = Object.entries(index.defects).map(([value, [name, sentence]]) => ({ value: Number(value), name, sentence }));

// Values to sort rollouts by and to chart.
const measures = {
  reward: (rollout) => rollout.reward,
  ...Object.fromEntries(index.terms.map((name, place) => [`term ${name}`, (rollout) => rollout.terms[place] ?? null])),
};
const spreads = groups.map((group) => deviation(group.map(measures.reward)));
const orders = {
  "file order": (rollout) => rollout.number,
  ...measures,
  disagreement: (rollout) => spreads[rollout.group],
  defects: (rollout) => flags.filter((flag) => rollout.defects & flag.value).length,
};
const state = { page: 0, low: null, high: null, group: null };

let texts = null;
function textOf(number) {
  texts ??= rollouts.map((rollout) => {
    const pieces = read(`r${rollout.number}`).pieces.map(([text]) => text);
    return `${read(`g${rollout.group}`).prompt}\n${pieces.join("")}`.toLowerCase();
  });
  return texts[number];
}

function passing({ heedRange = true } = {}) {
  const [task, defect, step] = ["task", "defect", "step"].map((id) => at(id).value);
  const words = at("search").value.trim().toLowerCase();
  const isMeant = { "": () => true, none: (defects) => defects === 0, any: (defects) => defects !== 0 }[defect]
    ?? ((defects) => (defects & Number(defect)) !== 0);
  const isInRange = (reward) => state.low === null || (reward !== null && reward >= state.low && reward < state.high);
  return rollouts.filter((rollout) =>
    (task === "" || rollout.task === Number(task)) &&
    (step === "" || rollout.step === Number(step)) &&
    isMeant(rollout.defects) &&
    (state.group === null || rollout.group === state.group) &&
    (!heedRange || isInRange(rollout.reward)) &&
    (words === "" || textOf(rollout.number).includes(words)));
}

const selected = () => passing();

function sorted() {
  const by = orders[at("sort").value];
  at("order").disabled = at("sort").value === "file order";
  const sign = at("order").disabled || at("order").value === "up" ? 1 : -1;
  // Rollouts without a value come last in either order.
  const place = (value) => (value === null || value === undefined ? Infinity : sign * value);
  const found = selected();
  const values = new Map(found.map((rollout) => [rollout, place(by(rollout))]));
  return found.sort((one, other) => values.get(one) - values.get(other) || one.group - other.group || one.number - other.number);
}

const isGrouped = () => document.querySelector("[name=view]:checked").value === "groups";

function draw({ keepFocus = false } = {}) {
  const found = sorted();
  const grouped = isGrouped();
  const items = grouped ? [...new Set(found.map((rollout) => rollout.group))] : found;
  const size = PER_PAGE[grouped ? "groups" : "rollouts"];
  const last = Math.max(0, Math.ceil(items.length / size) - 1);
  state.page = Math.min(state.page, last);
  const some = items.slice(state.page * size, (state.page + 1) * size);
  const list = at("list");
  const hasFocus = list.contains(document.activeElement);
  list.replaceChildren(...some.map((item) => element("li", null, grouped ? groupCard(item) : card(item))));
  const first = list.querySelector("article");
  if (first) first.tabIndex = 0;
  if (keepFocus || hasFocus) (first ?? list).focus();
  // A long text starts at its first claim.
  const long = [...list.querySelectorAll(".text")].filter((box) => box.scrollHeight > box.clientHeight);
  const answers = long.map((box) => (box.querySelector("mark, .answer")?.offsetTop ?? 0) - box.clientHeight / 2);
  long.forEach((box, place) => (box.scrollTop = answers[place]));
  const range = state.low === null ? "" : `, reward ${shown(state.low)} to ${shown(state.high)}`;
  const inGroups = grouped ? ` in ${items.length} ${items.length === 1 ? "group" : "groups"}` : "";
  at("count").replaceChildren(found.length
    ? `${found.length.toLocaleString("en")} of ${rollouts.length.toLocaleString("en")} rollouts${inGroups}${range}`
    : `No rollout passes the filter${range}.`);
  if (state.group !== null || state.low !== null) {
    at("count").append(element("button", { type: "button", "data-widen": "" }, "Show all"));
  }
  const turning = (by, words) => {
    const disabled = state.page + by < 0 || state.page + by > last;
    return element("button", { type: "button", "data-page": by, disabled }, words);
  };
  const place = element("span", null, `${state.page + 1} of ${last + 1}`);
  at("pages").replaceChildren(...(last ? [turning(-1, "← Previous"), place, turning(1, "Next →")] : []));
  drawCharts(found);
}

function turn(by) {
  state.page += by;
  draw({ keepFocus: true });
  at("count").scrollIntoView();
}

function showGroup(number) {
  state.group = number;
  state.page = 0;
  document.querySelector("[name=view][value=groups]").checked = true;
  draw({ keepFocus: true });
  at("count").scrollIntoView();
}

function widen() {
  Object.assign(state, { low: null, high: null, group: null });
  refresh();
  at("list").querySelector("article")?.focus({ preventScroll: true });
}

function refresh() {
  state.page = 0;
  draw();
}

/* Getting about -------------------------------------------------------------------------------------------------- */

function move(from, by) {
  const articles = [...at("list").querySelectorAll("article")];
  const place = by === Infinity ? articles.length - 1 : by === -Infinity ? 0 : articles.indexOf(from) + by;
  const next = articles[place];
  if (!next) return;
  for (const article of articles) article.tabIndex = article === next ? 0 : -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function moveWithin(article, by) {
  const stops = [...article.querySelectorAll(".chip, mark")];
  if (!stops.length) return;
  const place = stops.indexOf(document.activeElement);
  const next = stops[place < 0 ? (by > 0 ? 0 : stops.length - 1) : (place + by + stops.length) % stops.length];
  next.tabIndex = -1;
  next.focus();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=radio]), select, textarea");
  const bar = event.target.closest(".bars button");
  const article = event.target.closest("article");
  const does = {
    "/": () => at("search").focus(),
    n: () => at("pages").querySelector("[data-page='1']:enabled")?.click(),
    p: () => at("pages").querySelector("[data-page='-1']:enabled")?.click(),
    ...(bar && { ArrowLeft: () => rove(bar, -1), ArrowRight: () => rove(bar, 1) }),
    ...(article && {
      ArrowDown: () => move(article, 1),
      ArrowUp: () => move(article, -1),
      Home: () => move(article, -Infinity),
      End: () => move(article, Infinity),
      ArrowRight: () => moveWithin(article, 1),
      ArrowLeft: () => moveWithin(article, -1),
      g: () => showGroup(rollouts[article.dataset.number].group),
      Escape: () => (event.target === article ? leaveGroup() : article.focus()),
    }),
  }[event.key];
  if (!does || typing) {
    if (typing && event.key === "Escape") at("list").querySelector("article")?.focus();
    return;
  }
  event.preventDefault();
  does();
}

function leaveGroup() {
  if (state.group === null) return;
  const number = groups[state.group][0].number;
  state.group = null;
  document.querySelector("[name=view][value=rollouts]").checked = true;
  draw();
  const place = sorted().findIndex((rollout) => rollout.number === number);
  state.page = Math.max(0, Math.floor(place / PER_PAGE.rollouts));
  draw();
  move(at("list").querySelector(`[data-number="${number}"]`), 0);
}

function offer(id, options) {
  at(id).replaceChildren(...options.map(([value, words]) => element("option", { value }, words)));
  at(id).closest(".field").hidden = options.length < 3;
}

function begin() {
  const counted = (holds) => rollouts.filter(holds).length;
  const steps = [...new Set(known(rollouts.map((rollout) => rollout.step)))].sort((one, other) => one - other);
  const found = flags
    .map((flag) => ({ ...flag, count: counted((rollout) => rollout.defects & flag.value) }))
    .filter((flag) => flag.count);
  const perGroup = groups.some((group) => group.length > 1);
  at("sort").replaceChildren(...Object.keys(orders)
    .filter((name) => perGroup || name !== "disagreement")
    .map((name) => element("option", { value: name }, name.replace("term ", ""))));
  offer("task", [["", "all"], ...index.tasks.map((task, number) => [number, task || "(none)"])]);
  offer("step", [["", "all"], ...steps.map((step) => [step, step])]);
  offer("defect", [["", "any or none"], ["none", `none (${counted((rollout) => rollout.defects === 0)})`],
    ["any", `any (${counted((rollout) => rollout.defects !== 0)})`],
    ...found.map((flag) => [flag.value, `${flag.name.toLowerCase().replaceAll("_", " ")} (${flag.count})`])]);
  at("view").hidden = !perGroup;
  const many = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const parts = [many(rollouts.length, "rollout"), many(groups.length, "prompt")];
  if (steps.length) parts.push(steps.length > 1 ? `${steps.length} steps, ${steps[0]} to ${steps.at(-1)}` : `step ${steps[0]}`);
  at("summary").prepend(parts.join(" · "), at("summary").textContent ? " · " : "");

  at("tools").addEventListener("submit", (event) => event.preventDefault());
  at("tools").addEventListener("change", (event) => event.target.id !== "search" && refresh());
  let waiting = 0;
  at("tools").addEventListener("reset", () => {
    Object.assign(state, { low: null, high: null, group: null });
    clearTimeout(waiting);
    setTimeout(refresh);
  });
  at("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 150);
  });
  at("view").addEventListener("change", () => (state.group = null), { capture: true });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.page) turn(Number(button.dataset.page));
    else if (button?.dataset.group) showGroup(Number(button.dataset.group));
    else if (button?.dataset.widen === "") widen();
    else if (button?.dataset.low) narrow(Number(button.dataset.low), Number(button.dataset.high));
  });
  document.addEventListener("keydown", pressed);
  at("list").addEventListener("pointerover", (event) => point(event.target));
  at("list").addEventListener("pointerleave", () => point(document.activeElement));
  at("list").addEventListener("focusin", (event) => {
    const article = event.target.closest("article");
    if (article) at("list").querySelectorAll("article").forEach((one) => (one.tabIndex = one === article ? 0 : -1));
    point(event.target);
  });
  at("list").addEventListener("focusout", () => point(null));
  draw();
}

begin();
