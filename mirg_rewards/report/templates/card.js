"use strict";
// Completions are set as text, never as markup; the content security policy forbids anything else.

// One rollout: its images with their boxes, its text with its claims, its reward and its defects.

const at = (id) => document.getElementById(id);
const read = (id) => JSON.parse(at(id).textContent);

function known(values) {
  return values.filter((value) => value !== null && value !== undefined);
}

function mean(values) {
  const numbers = known(values);
  return numbers.length ? numbers.reduce((sum, value) => sum + value, 0) / numbers.length : null;
}

function deviation(values) {
  const middle = mean(values);
  return middle === null ? 0 : Math.sqrt(mean(known(values).map((value) => (value - middle) ** 2)));
}

function shown(value) {
  return value === null || value === undefined ? "–" : value.toFixed(Math.abs(value) < 100 ? 2 : 0).replace("-", "−");
}

function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined) continue;
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A claim without an image is about the only image of its row.
const imageOf = (claim, sizes) => claim.image ?? (sizes.length === 1 ? 1 : null);

function imageName(claim, sizes) {
  const image = imageOf(claim, sizes);
  if (image === null) return "no image";
  return `Image ${image}${sizes.length && (image < 1 || image > sizes.length) ? " (not there)" : ""}`;
}

function outline(claim, key, kind) {
  const shapes = () => {
    if (claim.polygon) return drawing("polygon", { points: claim.polygon.join(" ") });
    if (claim.box) {
      const [x1, y1, x2, y2] = claim.box;
      return drawing("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
    }
    return drawing("path", { d: `M${claim.point[0]} ${claim.point[1]}h0`, class: "point" });
  };
  const [halo, line] = [shapes(), shapes()];
  halo.classList.add("halo");
  return drawing("g", { class: `outline ${kind}`, "data-claims": key, ...paired(claim) }, halo, line);
}

// The target's claim that a predicted one is paired with.
const paired = (claim) => (claim.pair === undefined ? {} : { "data-pair": `t${claim.pair}` });

function area(claim) {
  return claim.box ? (claim.box[2] - claim.box[0]) * (claim.box[3] - claim.box[1]) : 0;
}

function picture(image, group, marked) {
  const size = group.sizes[image - 1];
  const url = group.images[image - 1] ?? null;
  const frame = element("div", { className: "frame" });
  frame.style.aspectRatio = size ? `${size[0]} / ${size[1]}` : "4 / 3";
  if (url !== null) {
    const img = element("img", { alt: "", decoding: "async", src: read(`i${url}`) });
    img.addEventListener("load", () => {
      if (!size) frame.style.aspectRatio = `${img.naturalWidth} / ${img.naturalHeight}`;
      img.classList.toggle("tiny", img.naturalWidth < 200);
    });
    frame.append(img);
  }
  const outlines = marked
    .filter(([claim]) => imageOf(claim, group.sizes) === image && (claim.box || claim.point))
    .sort(([one], [other]) => area(other) - area(one))
    .map(([claim, key, kind]) => outline(claim, key, kind));
  frame.append(drawing("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" }, ...outlines));
  const pixels = size && element("span", { className: "quiet" }, ` ${size[0]} × ${size[1]}`);
  const figure = element("figure", null, frame, element("figcaption", null, `Image ${image}`, pixels));
  frame.style.setProperty("--ratio", size ? size[0] / size[1] : 4 / 3);
  return figure;
}

function chip(claim, key, kind, group) {
  const met = kind === "predicted" && group.known && (claim.box || null) && shown(claim.iou ?? 0);
  return element("li", { className: `chip ${kind}`, "data-claims": key, tabIndex: -1, ...paired(claim) },
    element("span", { className: "unseen" }, `${kind === "true" ? "target" : kind}: `), element("span", null, imageName(claim, group.sizes)),
    claim.label && element("span", { className: "label" }, claim.label),
    met && element("span", { className: "iou" }, "IoU ", element("b", null, met)));
}

function truths(group) {
  if (group.known && !group.true.length) return [element("li", { className: "chip true" }, "nothing is to be found")];
  return group.true.map((claim, number) => chip(claim, `t${number}`, "true", group));
}

const chips = (made, name) => (made.length ? element("ul", { className: "chips", "aria-label": name }, made) : null);

function completion(body) {
  const pieces = body.pieces.map(([text, part, claims]) => {
    const words = element(claims.length ? "mark" : "span", { className: part || "tag" }, text);
    if (claims.length) words.dataset.claims = claims.map((number) => `p${number}`).join(" ");
    return words;
  });
  return element("div", { className: "text", role: "region", "aria-label": "Completion", tabIndex: -1 },
    pieces.length ? pieces : element("span", { className: "tag" }, "(empty)"));
}

function earned(rollout) {
  const terms = index.terms.map((name, place) => {
    const value = rollout.terms[place] ?? null;
    const bar = element("i", { className: "bar" }, element("i", null));
    bar.firstChild.style.width = `${100 * Math.max(0, Math.min(1, value ?? 0))}%`;
    return element("div", { className: "term" }, element("dt", null, name), element("dd", null, bar, shown(value)));
  });
  return element("div", { className: "earned" },
    element("p", { className: "reward" }, shown(rollout.reward), element("span", { className: "unseen" }, " reward")),
    element("dl", null, terms));
}

function card(rollout, { inGroup = false } = {}) {
  const body = read(`r${rollout.number}`);
  const group = read(`g${rollout.group}`);
  const predicted = body.claims.map((claim, number) => [claim, `p${number}`, "predicted"]);
  const marked = [...group.true.map((claim, number) => [claim, `t${number}`, "true"]), ...predicted];
  const count = group.sizes.length || Math.min(64, Math.max(0, ...body.claims.map((claim) => claim.image ?? 0)));
  const images = Array.from({ length: count }, (_, place) => picture(place + 1, group, marked));
  const defects = flags.filter((flag) => rollout.defects & flag.value).map((flag) => element("li", null, flag.sentence));
  const others = groups[rollout.group].length;
  const where = [!inGroup && rollout.step !== null && `step ${rollout.step}`, !inGroup && index.tasks[rollout.task],
    rollout.advantage !== null && `advantage ${shown(rollout.advantage)}`, body.place];
  const name = `Rollout ${rollout.number + 1}, reward ${shown(rollout.reward)}`;
  const toGroup = { type: "button", "data-group": rollout.group };
  return element("article", { tabIndex: -1, "data-number": rollout.number, "aria-label": name },
    !inGroup && element("h2", { className: "prompt" }, group.prompt || "(no prompt)"),
    element("div", { className: "seen" },
      element("div", { className: "images", "data-count": Math.min(images.length, 7) }, images),
      chips([...(inGroup ? [] : truths(group)), ...predicted.map((one) => chip(...one, group))], "Claims")),
    element("div", { className: "said" }, earned(rollout), completion(body),
      defects.length ? element("ul", { className: "defects", "aria-label": "Defects" }, defects) : null,
      element("p", { className: "where quiet" }, where.filter(Boolean).join(" · "),
        !inGroup && others > 1 && element("button", toGroup, `All ${others} of its group`))));
}

function groupCard(number) {
  const members = groups[number];
  const group = read(`g${number}`);
  const rewards = members.map(measures.reward);
  const matching = new Set(selected().map((rollout) => rollout.number));
  const cards = members.map((rollout) => card(rollout, { inGroup: true }));
  cards.forEach((made, place) => made.classList.toggle("other", !matching.has(members[place].number)));
  return element("section", { className: "group", "aria-label": `Group ${number + 1}` },
    element("h2", { className: "prompt" }, group.prompt || "(no prompt)"),
    element("p", { className: "quiet" }, [members[0].step !== null && `step ${members[0].step}`, `${members.length} completions`,
      `mean ${shown(mean(rewards))}`, `spread ${shown(spreads[number])}`].filter(Boolean).join(" · ")),
    chips(truths(group), "Target"),
    element("div", { className: "beside" }, cards));
}

// The claim under the pointer or with the focus is highlighted in the text, in the images and in the list.
function point(target) {
  for (const old of document.querySelectorAll(".pointing")) {
    old.classList.remove("pointing");
    old.querySelectorAll("[data-claims]").forEach((one) => one.classList.remove("on", "near"));
  }
  const origin = target?.closest?.("[data-claims]");
  const scope = origin?.closest("article") ?? origin?.closest(".group");
  if (!scope) return;
  const keys = origin.dataset.claims.split(" ");
  const claims = [...scope.querySelectorAll("[data-claims]")];
  const pairs = claims.filter((one) => keys.includes(one.dataset.claims)).map((one) => one.dataset.pair);
  scope.classList.add("pointing");
  for (const one of claims) {
    one.classList.toggle("near", pairs.includes(one.dataset.claims) || keys.includes(one.dataset.pair));
    const isMeant = one.dataset.claims.split(" ").some((key) => keys.includes(key));
    one.classList.toggle("on", isMeant);
    const box = isMeant && one !== origin && one.closest(".text");
    if (box) box.scrollTop = one.offsetTop - box.clientHeight / 3;
  }
}

