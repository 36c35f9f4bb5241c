// Copyright: (c) 2026, the asl.rescue contributors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Filter, sort and details. Everything in the data is text and is only ever set as text.
"use strict";
(() => {
  const report = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const body = document.querySelector("#table > tbody");
  const rows = [...body.querySelectorAll("tr.host")];
  const PRINT_ALL = 60; // with more hosts than this, paper gets the details of the ones that need somebody

  // Light and dark: as the system has it, unless the person says otherwise.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { root.dataset.theme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", follow);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  });

  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined && text !== null) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const size = (count) => {
    if (typeof count !== "number") return "?";
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
    return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
  };
  const span = (seconds) => {
    const whole = Math.round(seconds), two = (value) => String(value).padStart(2, "0");
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  };
  const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  // Filter.
  const find = document.getElementById("find");
  const boxes = [...document.querySelectorAll('input[name="state"]')];
  const shown = document.getElementById("shown");
  const haystack = report.hosts.map((host) => [
    host.host, host.sentence, host.reason, host.snapshot, host.digest, host.store, host.domain, host.next,
    ...host.sources.map((source) => source.source), ...Object.entries(host.labels).flat(),
    ...(host.decision ? [host.decision.mode, host.decision.reason] : []),
  ].join(" ").toLowerCase());
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      const index = Number(row.dataset.index);
      const seen = states.has(report.hosts[index].state) && words.every((word) => haystack[index].includes(word));
      row.hidden = !seen;
      const detail = row.nextElementSibling;
      if (detail && detail.classList.contains("detail")) detail.hidden = !seen || !isOpen(row);
      count += seen;
    }
    shown.textContent = count === rows.length ? String(count) : `${count} of ${rows.length}`;
    document.getElementById("none").hidden = count > 0;
  };
  let waiting = 0;
  find.addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(filter); });
  boxes.forEach((box) => box.addEventListener("change", filter));
  const tools = document.getElementById("tools");
  tools.hidden = false;
  document.getElementById("plain").remove();
  tools.addEventListener("submit", (event) => event.preventDefault());

  // Sort. A host without a figure comes last, whichever way.
  const RANK = ["failed", "unreachable", "incomplete", "running", "rescued_with_losses", "rescued", "predicted"];
  const value = (host, key) => key === "host" ? host.host : key === "state" ? RANK.indexOf(host.state) : host.figures[key];
  const names = new Intl.Collator("en", { numeric: true });
  const compare = (one, other) => typeof one === "string" ? names.compare(one, other) : one - other;
  const sort = (heading) => {
    const key = heading.dataset.key;
    const text = key === "host" || key === "state";
    const now = heading.getAttribute("aria-sort");
    const way = now === "none" ? (text ? "ascending" : "descending") : now === "ascending" ? "descending" : "ascending";
    document.querySelectorAll("th[aria-sort]").forEach((each) => each.setAttribute("aria-sort", each === heading ? way : "none"));
    rows.sort((left, right) => {
      const one = value(report.hosts[left.dataset.index], key), other = value(report.hosts[right.dataset.index], key);
      if (one === null || other === null) return (one === null) - (other === null);
      return way === "ascending" ? compare(one, other) : compare(other, one);
    });
    const sorted = document.createDocumentFragment();
    for (const row of rows) {
      const detail = row.nextElementSibling;
      sorted.append(row);
      if (detail && detail.classList.contains("detail")) sorted.append(detail);
    }
    body.append(sorted);
  };
  document.querySelectorAll("th[data-key]").forEach((heading) => {
    const button = make("button", heading.textContent);
    button.type = "button";
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(heading));
  });

  // Details, made when they are first asked for.
  const isOpen = (row) => row.querySelector("button").getAttribute("aria-expanded") === "true";
  const open = (row, yes = true) => {
    let detail = row.nextElementSibling;
    if (!detail || !detail.classList.contains("detail")) {
      if (!yes) return;
      detail = make("tr", null, "detail");
      detail.id = `detail-${row.dataset.index}`;
      const cell = make("td");
      cell.colSpan = 8;
      cell.append(...sections(report.hosts[row.dataset.index]));
      detail.append(cell);
      row.after(detail);
    }
    const button = row.querySelector("button");
    button.setAttribute("aria-expanded", String(yes));
    button.setAttribute("aria-controls", detail.id);
    detail.hidden = !yes;
  };
  for (const row of rows) {
    const cell = row.firstElementChild;
    const button = make("button", cell.textContent);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    cell.replaceChildren(button);
  }
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr.host");
    if (row && !String(getSelection())) open(row, !isOpen(row));
  });
  const show = (name) => {
    const row = rows.find((each) => report.hosts[each.dataset.index].host === name);
    if (!row) return false;
    if (row.hidden) { find.value = ""; boxes.forEach((box) => { box.checked = true; }); filter(); }
    open(row);
    row.scrollIntoView({ block: "start" });
    row.querySelector("button").focus({ preventScroll: true });
    return true;
  };
  document.querySelectorAll("a[data-open]").forEach((link) => {
    link.addEventListener("click", (event) => { if (show(link.dataset.open)) event.preventDefault(); });
  });

  // What stands in the details.
  const section = (title, ...content) => {
    const element = make("section");
    element.append(make("h3", title), ...content);
    return element;
  };
  const pairs = (entries) => {
    const list = make("dl");
    for (const [name, text] of entries) {
      if (text === null || text === undefined || text === "") continue;
      const pair = make("div");
      const long = String(text).length > 60;
      if (long) pair.className = "long";
      pair.append(make("dt", name), make("dd", String(text), long ? "mono" : ""));
      list.append(pair);
    }
    return list;
  };
  const bullets = (items, omitted = 0) => {
    const list = make("ul");
    list.append(...items.map((item) => {
      const line = make("li");
      line.append(...[item].flat());
      return line;
    }));
    if (omitted) list.append(make("li", `and ${omitted.toLocaleString("en")} more: see the .json of this host`));
    return list;
  };
  const table = (headings, lines) => {
    const element = make("table"), head = make("tr");
    head.append(...headings.map((text) => { const cell = make("th", text); cell.scope = "col"; return cell; }));
    element.append(head);
    for (const line of lines) {
      const row = make("tr");
      row.append(...line.map((text) => make("td", text)));
      element.append(row);
    }
    return element;
  };
  const command = (text) => {
    const box = make("div", null, "command"), button = make("button", "Copy");
    button.type = "button";
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { getSelection().selectAllChildren(box.firstChild); }
    });
    box.append(make("pre", text), button);
    return box;
  };
  const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

  const KINDS = { d: "data", z: "zeros", u: "unread", n: "not tried" };
  const drawing = (map, unread) => {
    const SVG = "http://www.w3.org/2000/svg", cells = map.cells, element = document.createElementNS(SVG, "svg");
    element.setAttribute("class", "map");
    element.setAttribute("viewBox", `0 0 ${cells.length} 1`);
    element.setAttribute("preserveAspectRatio", "none");
    element.setAttribute("role", "img");
    const counts = {};
    for (const [run] of cells.matchAll(/(.)\1*/g)) counts[run[0]] = (counts[run[0]] || 0) + run.length;
    element.setAttribute("aria-label", "Map: " + Object.entries(counts).map(([kind, count]) => `${KINDS[kind]} in ${count} of ${cells.length} parts`).join(", "));
    for (const run of cells.matchAll(/(.)\1*/g)) {
      const rect = document.createElementNS(SVG, "rect"), title = document.createElementNS(SVG, "title");
      // What is unread is drawn wide enough to be seen on any screen.
      const width = run[1] === "u" ? Math.max(run[0].length, cells.length / 300) : run[0].length;
      for (const [name, is] of Object.entries({ x: run.index, y: 0, width, height: 1, class: run[1] })) rect.setAttribute(name, is);
      title.textContent = `${KINDS[run[1]]}: ${size(run.index * map.cell)} to ${size((run.index + run[0].length) * map.cell)}`;
      rect.append(title);
      if (run[1] === "u") rect.dataset.over = "1";
      element.append(rect);
    }
    element.querySelectorAll("[data-over]").forEach((rect) => element.append(rect));
    const legend = make("p", null, "legend");
    for (const kind of "dzun") {
      if (!counts[kind]) continue;
      const item = make("span");
      item.append(make("i", null, kind), kind === "u" ? `unread, ${size(unread)} in all` : `${KINDS[kind]}, ${Math.round(100 * counts[kind] / cells.length)} % of the map`);
      legend.append(item);
    }
    legend.append(make("span", `one part is ${size(map.cell)} and shows the worst in it`));
    return [element, legend];
  };
  const health = (smart) => {
    const keys = [...new Set([...Object.keys(smart.before || {}), ...Object.keys(smart.after || {})])];
    const plain = (side, key) => side && side[key] !== undefined && side[key] !== null ? String(typeof side[key] === "object" ? JSON.stringify(side[key]) : side[key]) : "–";
    const lines = keys.map((key) => [key.replaceAll("_", " "), plain(smart.before, key), plain(smart.after, key)]);
    const element = table(["SMART", "before the read", "after it"], lines);
    lines.forEach(([, before, after], at) => { if (before !== after) element.rows[at + 1].lastChild.className = "rose"; });
    return element;
  };
  const sourceBox = (source) => {
    const box = make("div", null, "source"), head = make("p");
    const files = source.files > 1 || source.kind === "tree" || source.kind === "fs" ? `${many(source.files, "file")} · ` : "";
    const left = source.bytes_unread ? `${size(source.bytes_unread)} unread` : "every byte";
    head.append(make("strong", source.source), make("span", `${files}${size(source.size)} · ${left}`));
    box.append(head);
    const about = Object.entries(source.details).filter(([, text]) => text !== "").map(([name, text]) => `${name.replaceAll("_", " ")} ${text}`);
    if (about.length) box.append(make("p", about.join(" · "), "more"));
    if (source.view) box.append(make("p", `seen as it lay there: ${source.view}`));
    if (source.notes.length) box.append(bullets(source.notes));
    if (source.map && source.map.cells) {
      box.append(...drawing(source.map, source.bytes_unread));
      const ranges = source.map.unread.map(([start, length]) => `${length.toLocaleString("en")} bytes at ${start.toLocaleString("en")}`);
      if (ranges.length) {
        const list = make("details");
        list.append(make("summary", `${many(ranges.length + source.map.unread_omitted, "unread range")}`), bullets(ranges, source.map.unread_omitted));
        box.append(list);
      }
    }
    if (source.smart) box.append(health(source.smart));
    return box;
  };

  const moment = (seconds) => typeof seconds === "number" ? `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC` : null;
  const receiptBox = (host, receipt) => {
    if (typeof receipt !== "object" || !receipt.file) return make("pre", typeof receipt === "string" ? receipt : JSON.stringify(receipt, null, 1));
    const box = make("div", null, "source"), head = make("p"), says = receipt.says;
    head.append(make("strong", receipt.file), make("span", receipt.signed ? `signed, see ${receipt.file}.sig` : `not signed: ${receipt.why || "no key was named"}`));
    box.append(head, pairs([
      ["Given by", receipt.by], ["Snapshot", says.snapshot], ["Result", says.result], ["Read", moment(says.began)], ["until", moment(says.ended)],
      ["Sealed", moment(says.sealed)], ["Host", says.host], ["Engine", says.engine], ["Store", says.store_id], ["Record of the log", says.logseq],
      ["Content digest", says.digest], ["Hash of the log", says.link],
    ]));
    box.append(command(`asl-admin prove ${quoted(says.snapshot || "latest")} --receipt ${quoted(receipt.file)} --store ${quoted(host.store || "/mnt/asl/local")}${receipt.signed ? " --allowed-signers signers" : ""}`));
    return box;
  };

  const sections = (host) => {
    const found = [], figures = host.figures, verified = host.verification;
    const next = [make("p", host.next)];
    if (host.snapshot) next.push(command(`asl-admin restore ${quoted(host.snapshot)} --store ${quoted(host.store || "/mnt/asl/local")} --to /srv/restored`));
    found.push(section("What to do next", ...next));
    found.push(section("Figures", pairs([
      ["Snapshot", host.snapshot], ["Store", host.store], ["Domain", host.domain],
      ["Files", figures.files && `${figures.files.toLocaleString("en")}${figures.files_unchanged ? `, ${figures.files_unchanged.toLocaleString("en")} of them unchanged` : ""}`],
      ["Read", figures.bytes_read !== null ? size(figures.bytes_read) : null],
      ["New / known before", figures.bytes_new !== null ? `${size(figures.bytes_new)} / ${size(figures.bytes_duplicate)}` : null],
      ["Added to the store", figures.bytes_stored !== null ? size(figures.bytes_stored) : null],
      ["Time and rate", figures.seconds !== null ? `${span(figures.seconds)}${figures.rate ? `, ${size(figures.rate)}/s` : ""}` : null],
      ...Object.entries(host.labels).map(([name, text]) => [`Label ${name}`, text]), ["Content digest", host.digest],
    ])));
    if (host.sources.length) found.push(section("Sources", ...host.sources.map(sourceBox)));
    if (host.losses.length) {
      const lost = table(["Lost", "Where", "Why"], host.losses.map((loss) => [loss.what, loss.where, loss.why]));
      const rest = host.losses_omitted ? [make("p", `and ${host.losses_omitted.toLocaleString("en")} more: the receipt of the snapshot lists all (asl-admin show)`, "more")] : [];
      found.push(section("Damaged files and ranges", lost, ...rest));
    }
    if (host.decision) {
      found.push(section("Where it was to go, and why", make("p", `${host.decision.mode} (${host.decision.reason})`), bullets(host.decision.findings.map((finding) => [
        make("span", finding.text, finding.severity), ...(finding.hint ? [make("span", ` ${finding.hint}`, "hint")] : []), " ", make("code", finding.code),
      ]))));
    }
    if (host.read_back === "nothing" && !verified) found.push(section("Verification", make("p", "the snapshot was not read back from the store", "warning")));
    if (verified) {
      const read = `${size(verified.bytes)} in ${many(verified.artifacts || 0, "artifact")} read back`;
      const content = [make("p", verified.ok ? `${read}: every digest as it was` : `${read}: DAMAGED`, verified.ok ? "" : "error")];
      if (verified.artifacts_skipped) content.push(make("p", `${many(verified.artifacts_skipped, "artifact")} left out, a sample was asked for`, "more"));
      if (verified.ok && host.read_back === "nothing") content[0] = make("p", "the snapshot was not read back from the store", "warning");
      if (verified.damaged.length) content.push(bullets(verified.damaged.map((each) => ["source", "path", "what", "why"].map((key) => each[key]).filter(Boolean).join(": ")), verified.damaged_omitted));
      found.push(section("Verification", ...content));
    }
    if (host.receipts.length) found.push(section("Receipts", ...host.receipts.map((receipt) => receiptBox(host, receipt))));
    if (host.phases.length) {
      const done = make("details");
      done.append(make("summary", "Phases, actions and commands"), ...host.phases.map((phase) => {
        const box = make("div", null, "source");
        box.append(make("p", `${phase.phase}: ${phase.outcome}${phase.reason ? ` (${phase.reason})` : ""}`));
        if (phase.actions.length) box.append(bullets(phase.actions, phase.actions_omitted));
        if (phase.notes.length) box.append(bullets(phase.notes));
        box.append(...phase.commands.map((each) => make("pre", each)));
        return box;
      }));
      found.push(section("What was done", done));
    }
    return found;
  };

  // Paper has no buttons: what would be opened is opened, and closed again afterwards.
  let opened = [];
  addEventListener("beforeprint", () => {
    const wanted = rows.filter((row) => !row.hidden && !isOpen(row) && (rows.length <= PRINT_ALL || RANK.indexOf(report.hosts[row.dataset.index].state) < 5));
    opened = wanted.slice(0, PRINT_ALL);
    opened.forEach((row) => open(row));
  });
  addEventListener("afterprint", () => { opened.forEach((row) => open(row, false)); opened = []; });

  window.aslReport = { show, ready: true };
})();
