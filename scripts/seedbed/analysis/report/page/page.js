// Inserts the texts that Python wrote for each position of the controls, and draws the charts.
const data = JSON.parse(document.getElementById("page-data").textContent);
const find = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
// `ast` interprets expressions: the page's policy forbids compiling text to code.
const embedding = { actions: false, renderer: "svg", ast: true, defaultStyle: false };

// Draws a chart in a child of an element, because Vega sets a role on the element it draws in.
function embed(place, spec) {
  const inner = document.createElement("div");
  place.replaceChildren(inner);
  const scheme = dark.matches ? "dark" : "light";
  // The elements around the charts have labels and descriptions.
  const config = { ...data.themes[scheme], aria: false, mark: { aria: false } };
  return vegaEmbed(inner, spec, { ...embedding, config, tooltip: { theme: scheme } });
}

// Replaces a figure's static drawing with its interactive chart; without scripts the drawing stays.
async function enliven(place) {
  const drawing = place.nextElementSibling;
  await embed(place, data.figures[place.id.replace(/-chart$/, "")]);
  if (!drawing) { return; }
  for (const attribute of ["role", "aria-labelledby", "aria-describedby"]) {
    place.setAttribute(attribute, drawing.getAttribute(attribute));
  }
  drawing.remove();
}

const places = Object.keys(data.figures).map((name) => find(`${name}-chart`));
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) { continue; }
    watcher.unobserve(target);
    enliven(target);
  }
}, { rootMargin: "600px" });
places.forEach((place) => watcher.observe(place));
dark.addEventListener("change", () => {
  places.filter((place) => place.hasAttribute("role")).forEach(enliven);
});

if (data.explorer.fits.length) {
  const { fits, heads, plots } = data.explorer;
  const target = () => find("by-target").checked;
  // The unit of the charts' axis. An accuracy to reach is shown at the queries that it takes.
  const unit = () => (find("by-usd").checked ? "usd" : "queries");
  const sizes = () => fits[find("fit").value][unit()];
  const size = () => sizes()[find("seeds").value];
  const rows = () => (target() ? size().reach : size().rows);
  const names = {
    queries: ["Budget", "or type teacher queries"],
    usd: ["Budget", "or type US dollars"],
    target: ["Accuracy to reach", "or type a percentage"],
  };
  const charts = {};

  // Draws one chart at a time. Of the data that arrives meanwhile, the last is drawn next.
  async function draw(name, key, values) {
    const chart = charts[name] ??= {};
    chart.wanted = { key, values };
    if (chart.busy) { return; }
    chart.busy = true;
    while (chart.wanted) {
      const wanted = chart.wanted;
      chart.wanted = null;
      if (chart.key !== wanted.key) {
        chart.made?.finalize();
        const spec = { ...plots[unit()][name], datasets: wanted.values };
        if (name === "map") { spec.height *= sizes().length; }
        chart.made = await embed(find(name), spec);
        chart.key = wanted.key;
      } else {
        for (const [one, rows] of Object.entries(wanted.values)) {
          chart.made.view.data(one, rows);
        }
        await chart.made.view.runAsync();
      }
    }
    chart.busy = false;
  }

  function fill(table, lines) {
    find(table).tBodies[0].replaceChildren(...lines.map((words) => {
      const line = document.createElement("tr");
      line.append(...words.map((text, index) => {
        const cell = document.createElement(index ? "td" : "th");
        if (!index) { cell.scope = "row"; }
        cell.textContent = text;
        return cell;
      }));
      return line;
    }));
  }

  let shownSeeds = 0;

  function show() {
    shownSeeds = size().seeds;
    const [at, row] = [size(), rows()[find("budget").value]];
    const [name, typed] = names[target() ? "target" : unit()];
    find("budget-name").textContent = name;
    find("budget-typed-name").textContent = typed;
    for (const [control, one, number, all] of [
      ["seeds", at, at.seeds, sizes().map(({ seeds }) => seeds)],
      ["budget", row, row.at, rows().map((other) => other.at)],
    ]) {
      find(`${control}-shown`).textContent = one.shown;
      find(control).setAttribute("aria-valuetext", one.spoken);
      Object.assign(find(`${control}-typed`), { value: number, min: all[0], max: all.at(-1) });
    }
    ["answer", "sure", "more"].forEach((id, index) => { find(id).textContent = row.said[index]; });
    const columns = heads[target() ? "reach" : "budget"];
    [...find("outlook").tHead.rows[0].cells].forEach((cell, index) => {
      cell.textContent = columns[index];
    });
    fill("outlook", row.outlook);
    find("notes").replaceChildren(...row.notes.map((text) => {
      const line = document.createElement("li");
      line.textContent = text;
      return line;
    }));
    find("notes").hidden = !row.notes.length;
    find("next-group").hidden = !row.next.length;
    find("next-title").textContent = row.next_text;
    fill("next", row.next);
    find("curves-text").textContent = at.curves_text;
    find("map-text").textContent = at.map_text;
    const key = `${find("fit").value} ${unit()} ${dark.matches}`;
    const here = [{ at: row.x, seeds: at.shown }];
    draw("curves", key, { curves: at.curves, here });
    draw("map", key, { map: sizes().flatMap((one) => one.map), here });
  }

  // Sets a control's range, and its position as a share of the range.
  function range(control, count, share) {
    find(control).max = count - 1;
    find(control).value = Math.round(share * (count - 1));
  }
  const share = (control) => find(control).value / Math.max(1, find(control).max);

  function choose() {
    const { usd, usd_unknown } = fits[find("fit").value];
    find("by-usd").disabled = !usd.length;
    if (!usd.length) { find("by-queries").checked = true; }
    find("usd-unknown").textContent = usd.length ? "" : usd_unknown;
    range("seeds", sizes().length, 0);
    range("budget", rows().length, 0.5);
    show();
  }

  // Returns the index of the number nearest to another by ratio.
  function nearest(numbers, wanted) {
    const distance = (one) => Math.abs(Math.log(Math.max(one, 1e-9) / Math.max(wanted, 1e-9)));
    return numbers.reduce(
      (best, one, place) => (distance(one) < distance(numbers[best]) ? place : best), 0,
    );
  }

  function change() {
    find("seeds").max = sizes().length - 1;
    find("seeds").value = nearest(sizes().map(({ seeds }) => seeds), shownSeeds);
    range("budget", rows().length, 0.5);
    show();
  }

  find("fit").append(...fits.map(({ title }, index) => new Option(title, index)));
  find("fit").addEventListener("input", choose);
  find("seeds").addEventListener("input", () => {
    range("budget", rows().length, share("budget"));
    show();
  });
  find("budget").addEventListener("input", show);
  find("seeds-typed").addEventListener("change", () => {
    const wanted = find("seeds-typed").valueAsNumber;
    if (wanted > 0) {
      const place = share("budget");
      find("seeds").value = nearest(sizes().map(({ seeds }) => seeds), wanted);
      range("budget", rows().length, place);
    }
    show();
  });
  find("budget-typed").addEventListener("change", () => {
    const wanted = find("budget-typed").valueAsNumber;
    if (wanted > 0) { find("budget").value = nearest(rows().map(({ at }) => at), wanted); }
    show();
  });
  for (const one of ["by-queries", "by-usd", "by-target"]) {
    find(one).addEventListener("input", change);
  }
  find("explorer").querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  dark.addEventListener("change", show);
  find("explorer").hidden = false;
  choose();
}
