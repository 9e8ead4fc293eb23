// Charts. An element with data-chart="kind" is drawn from the JSON that data-source names.
"use strict";
(() => {
  const COLOURS = { now: "#1d5b8f", before: "#a8b6c4", goal: "#d9822b" };
  const wan = (value) => (value == null ? "—" : value.toLocaleString("zh-CN", { maximumFractionDigits: 2 }));
  const tooltip = { trigger: "axis", renderMode: "richText", confine: true, valueFormatter: wan };
  const font = { fontFamily: getComputedStyle(document.body).fontFamily };

  const kinds = {
    pace: (data, words) => ({
      textStyle: font,
      color: [COLOURS.now, COLOURS.before],
      tooltip,
      legend: { top: 0, itemWidth: 18, data: [data.nowName, data.beforeName].filter(Boolean) },
      grid: { left: 8, right: 16, top: 40, bottom: 8, containLabel: true },
      xAxis: { type: "category", data: data.days, boundaryGap: false, axisTick: { show: false } },
      yAxis: { type: "value", name: words.unit, nameTextStyle: { align: "left" } },
      series: [
        {
          name: data.nowName, type: "line", data: data.now, showSymbol: false, lineStyle: { width: 3 }, areaStyle: { opacity: 0.08 },
          markLine: data.goal ? {
            silent: true, symbol: "none",
            lineStyle: { color: COLOURS.goal, type: "dashed" },
            label: { formatter: `${words.goal} ${wan(data.goal)}`, position: "insideStartTop", color: COLOURS.goal },
            data: [{ yAxis: data.goal }],
          } : undefined,
        },
        { name: data.beforeName, type: "line", data: data.before, showSymbol: false, lineStyle: { width: 2 } },
      ],
    }),
    sectors: (data, words) => ({
      textStyle: font,
      color: [COLOURS.before, COLOURS.now],
      tooltip: { ...tooltip, axisPointer: { type: "shadow" } },
      legend: { top: 0, itemWidth: 18 },
      grid: { left: 8, right: 24, top: 32, bottom: 8, containLabel: true },
      xAxis: { type: "value", name: words.unit, nameLocation: "end", nameGap: 4 },
      yAxis: { type: "category", data: data.names, axisTick: { show: false } },
      series: [
        ...(data.beforeName ? [{ name: data.beforeName, type: "bar", data: data.before, barGap: "0%", barCategoryGap: "35%" }] : []),
        { name: data.nowName, type: "bar", data: data.now },
      ],
    }),
  };

  for (const place of document.querySelectorAll("[data-chart]")) {
    const data = JSON.parse(document.getElementById(place.dataset.source).textContent);
    const chart = echarts.init(place, null, { renderer: "svg" });
    chart.setOption({ animation: false, ...kinds[place.dataset.chart](data, place.dataset) });
    new ResizeObserver(() => chart.resize()).observe(place);
  }
})();
