// Draws the chart of a figure again with uPlot, from the figure's own table; the server's SVG stays where this cannot.
export function drawChart(root) {
  if (typeof uPlot === "undefined") return;
  for (const figure of root.querySelectorAll("[data-chart]")) {
    const table = figure.querySelector("[data-chart-table]");
    const place = figure.querySelector("[data-chart-place]");
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 2) continue;
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const columns = names.map((_, i) => rows.map((row) => number(row.cells[i].textContent)));
    const colours = [probe("--accent"), probe("--wait")];
    const ink = probe("--muted");
    const rule = probe("--line");
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule }, font: "12px system-ui" };
    const options = {
      width: Math.max(260, place.clientWidth),
      height: 260,
      scales: { x: { time: false } },
      axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }, { ...axis, size: 56 }],
      series: names.map((name, i) =>
        i === 0 ? { label: name } : { label: name, stroke: colours[(i - 1) % 2], width: 2.5, spanGaps: true },
      ),
    };
    const title = place.querySelector("svg")?.getAttribute("aria-label") ?? "";
    place.textContent = "";
    figure.querySelector(".legend")?.remove();
    new uPlot(options, columns, place);
    const canvas = place.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title);
  }
}

function number(text) {
  const value = Number.parseFloat(text.replace(/\s/g, "").replace(",", "."));
  return Number.isNaN(value) ? null : value;
}

// light-dark() is resolved only on an element, so ask one.
function probe(name) {
  const element = document.createElement("span");
  element.style.color = `var(${name})`;
  document.body.append(element);
  const colour = getComputedStyle(element).color;
  element.remove();
  return colour;
}
