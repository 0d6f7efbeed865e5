"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 600px)");
  const coarse = matchMedia("(pointer: coarse)");

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    return { ground: color("ground"), raised: color("raised"), text: color("text"), line: color("line") };
  }

  function layoutOf(figure, colors) {
    const axis = (own, isHeatmap) => ({
      gridcolor: colors.line, linecolor: colors.line, zeroline: false, automargin: true, showgrid: !isHeatmap, ...own,
    });
    const isHeatmap = figure.data[0].type === "heatmap";
    const { xaxis, yaxis, ...rest } = figure.layout;
    return {
      height: narrow.matches ? 420 : 440,
      ...rest,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colors.text, family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 13 },
      margin: { l: 50, r: 12, t: 12, b: 50 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      showlegend: !isHeatmap,
      hoverlabel: { bgcolor: colors.raised, bordercolor: colors.line, font: { color: colors.text } },
      dragmode: coarse.matches ? false : "zoom",
      xaxis: axis(xaxis, isHeatmap),
      yaxis: axis(yaxis, isHeatmap),
    };
  }

  function dataOf(figure, colors) {
    const scales = {
      diverging: [[0, "#d5502e"], [0.5, colors.raised], [1, "#3b82c4"]],
      sequential: [[0, colors.raised], [1, "#3b82c4"]],
    };
    return figure.data.map((trace) => (trace.meta in scales ? { ...trace, colorscale: scales[trace.meta] } : trace));
  }

  function draw(name) {
    const choice = document.getElementById(`choice-${name}`);
    const figure = charts[name][choice ? Number(choice.value) : 0];
    const colors = theme();
    Plotly.react(`plot-${name}`, dataOf(figure, colors), layoutOf(figure, colors), {
      displayModeBar: false, responsive: true,
    });
  }

  const names = Object.keys(charts).filter((name) => charts[name].length);
  for (const name of names) {
    draw(name);
    document.getElementById(`choice-${name}`)?.addEventListener("change", () => draw(name));
  }
  for (const query of [dark, narrow, coarse]) {
    query.addEventListener("change", () => names.forEach(draw));
  }

  const table = document.getElementById("rows");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];

  function sort(index) {
    const head = heads[index];
    const isText = head.classList.contains("text");
    const first = isText ? "ascending" : "descending";
    const second = isText ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    const sign = order === "ascending" ? 1 : -1;
    heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
    const value = (row) => row.cells[index].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      return sign * (isText ? left.localeCompare(right, "en", { numeric: true }) : Number(left) - Number(right));
    });
    body.append(...rows);
  }
  heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => sort(index)));

  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of body.rows) {
      const text = [...row.querySelectorAll(".text")].map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    document.getElementById("shown").value = `${shown} of ${body.rows.length} rows`;
  });
})();
