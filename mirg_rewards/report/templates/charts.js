// Charts: the histogram of rewards, their curves by step, and their means by task.

const BINS = 20;

// Bins of equal width; the last one includes the highest reward.
function bins(values) {
  const numbers = known(values);
  if (!numbers.length) return [];
  const [low, high] = extremes([0, 1, ...numbers]);
  const edge = (place) => low + (place * (high - low)) / BINS;
  return Array.from({ length: BINS }, (_, place) => ({
    low: edge(place),
    end: edge(place + 1),
    high: place === BINS - 1 ? Infinity : edge(place + 1),
  }));
}

function extremes(numbers) {
  return numbers.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

function headed(name, middle, ...rest) {
  const caption = element("figcaption", null, element("span", null, name), element("b", { title: "mean" }, shown(middle)));
  return element("figure", { className: "chart" }, caption, rest);
}

function axisOf(...words) {
  return element("p", { className: "axis quiet" }, words.map((word) => element("span", null, word)));
}

function histogram(found) {
  const cells = bins(rollouts.map(measures.reward));
  if (!cells.length) return null;
  const rewards = known(found.map(measures.reward));
  const heights = new Array(BINS).fill(0);
  for (const value of rewards) heights[cells.findIndex((cell) => value < cell.high)] += 1;
  const most = Math.max(1, ...heights);
  const buttons = cells.map((cell, place) => {
    const isChosen = cell.low === state.low;
    const words = `${shown(cell.low)} to ${shown(cell.end)}: ${heights[place]} rollouts`;
    const bar = element("button", {
      type: "button",
      title: words,
      tabIndex: isChosen || (state.low === null && place === 0) ? 0 : -1,
      "aria-label": `Reward ${words}`,
      "aria-pressed": String(isChosen),
      "data-low": cell.low,
      "data-high": cell.high,
    }, element("i", null));
    bar.firstChild.style.height = `${heights[place] && Math.max(3, (100 * heights[place]) / most)}%`;
    return bar;
  });
  const bars = element("div", { className: "bars", role: "group", "aria-label": "Choose by reward" }, buttons);
  const figure = headed("reward", mean(rewards), bars, axisOf(shown(cells[0].low), shown(cells.at(-1).end)));
  figure.classList.add("wide");
  return figure;
}

// The mean of each step: (step, value), in the order of the steps.
function means(found, measure) {
  const steps = new Map();
  for (const rollout of found) {
    if (rollout.step === null) continue;
    if (!steps.has(rollout.step)) steps.set(rollout.step, []);
    steps.get(rollout.step).push(measure(rollout));
  }
  const points = [...steps].map(([step, values]) => [step, mean(values)]);
  return points.filter(([, value]) => value !== null).sort(([one], [other]) => one - other);
}

function curve(name, found, measure) {
  const middle = mean(found.map(measure));
  if (middle === null) return null;
  const points = means(found, measure);
  if (points.length < 2) return headed(name, middle);
  const [first, last] = [points[0], points.at(-1)];
  const [low, high] = extremes([0, 1, ...points.map(([, value]) => value)]);
  const places = points.map(([step, value]) => [
    (100 * (step - first[0])) / (last[0] - first[0]),
    100 * (1 - (value - low) / (high - low)),
  ]);
  const line = drawing("polyline", { points: places.map((place) => place.map((side) => side.toFixed(2)).join()).join(" ") });
  const ends = [first, last].map(([step, value]) => `${shown(value)} at step ${step}`);
  const plot = drawing("svg", {
    viewBox: "0 -3 100 106",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${name}, from ${ends.join(" to ")}`,
  }, line);
  const axis = axisOf(`step ${first[0]}`, "", last[0]);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const distances = places.map(([x]) => Math.abs(x - (100 * (event.clientX - box.left)) / box.width));
    const [step, value] = points[distances.indexOf(Math.min(...distances))];
    axis.children[1].textContent = `step ${step}: ${shown(value)}`;
  });
  plot.addEventListener("pointerleave", () => (axis.children[1].textContent = ""));
  return headed(name, middle, plot, axis);
}

function taskTable(found) {
  const tasks = index.tasks
    .map((task, number) => [task || "(none)", found.filter((rollout) => rollout.task === number)])
    .filter(([, some]) => some.length);
  if (tasks.length < 2) return null;
  const names = Object.keys(measures);
  const row = (tag, [first, ...rest]) => {
    const heading = element("th", { scope: tag === "th" ? "col" : "row" }, first);
    return element("tr", null, heading, rest.map((cell) => element(tag, null, String(cell))));
  };
  const head = row("th", ["task", "n", ...names.map((name) => name.replace("term ", ""))]);
  const body = tasks.map(([task, some]) =>
    row("td", [task, some.length, ...names.map((name) => shown(mean(some.map(measures[name]))))]));
  const table = element("table", null, element("thead", null, head), element("tbody", null, body));
  return element("div", { className: "tasks", role: "region", "aria-label": "Means by task", tabIndex: 0 }, table);
}

const clean = (rollout) => Number(rollout.defects === 0);

function isTerm(measure) {
  return Object.values(measures).some((term) => rollouts.every((rollout) => term(rollout) === measure(rollout)));
}

function drawCharts(found) {
  const focused = document.activeElement?.dataset?.low;
  const all = passing({ heedRange: false });
  const hasSteps = found.some((rollout) => rollout.step !== found[0].step);
  const charts = [
    histogram(all),
    hasSteps && curve("reward by step", found, measures.reward),
    ...Object.entries(measures).slice(1).map(([name, measure]) => curve(name.replace("term ", ""), found, measure)),
    !isTerm(clean) && curve("no defect", found, clean),
    taskTable(found),
  ];
  at("charts").replaceChildren(...charts.filter(Boolean));
  if (focused) at("charts").querySelector(`[data-low="${focused}"]`)?.focus();
}

function rove(bar, by) {
  const bars = [...bar.parentElement.children];
  const next = bars[bars.indexOf(bar) + by];
  if (!next) return;
  bar.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function narrow(low, high) {
  [state.low, state.high] = state.low === low ? [null, null] : [low, high];
  refresh();
}
