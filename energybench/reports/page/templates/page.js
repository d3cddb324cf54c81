// Everything stands on the page without this script. It adds: a switch between light and dark, sorting, a filter, CSV.
(() => {
  "use strict";
  const root = document.documentElement;
  const KEY = "energybench-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* private window: not remembered */ } };

  // Before the first paint, so that nothing flashes.
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();

  const make = (tag, fields) => Object.assign(document.createElement(tag), fields);
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  function themeButton(button) {
    const say = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      say();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", say);
    say();
    button.hidden = false;
  }

  // A number in full where the cell shows it rounded; the empty text where it is absent.
  const value = (cell) => cell.dataset.v ?? cell.textContent;

  function compare(left, right, numeric) {
    if (left === "" || right === "") return 0;
    return numeric ? left - right : left.localeCompare(right, undefined, { numeric: true });
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = make("button", { type: "button", className: "sort", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const upward = head.getAttribute("aria-sort") !== "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", upward ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [value(row.cells[place]), row]);
        // Absent values stay at the end in both directions.
        rows.sort(([a], [b]) => (a === "") - (b === "")
          || (upward ? 1 : -1) * compare(a, b, head.classList.contains("n")));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

  function csv(table) {
    if (table.tagName === "PRE") return table.textContent;
    const lines = [[...table.tHead.rows[0].cells].map((head) => head.dataset.name)];
    for (const row of table.tBodies[0].rows) lines.push([...row.cells].map(value));
    return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
  }

  function download(table) {
    const link = make("a", {
      href: URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" })),
      download: `${table.dataset.file}.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function filterable(box) {
    const table = document.getElementById(box.dataset.of);
    const count = box.parentNode.querySelector("output");
    const rows = [...table.tBodies[0].rows].map((row) => [row.textContent.toLowerCase(), row]);
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const [text, row] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        left += !row.hidden;
      }
      count.textContent = words.length ? `${left} of ${rows.length}` : "";
    });
    box.parentNode.hidden = false;
  }

  // Older browsers print closed details closed whatever the style sheet says.
  function printing() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      for (const one of opened) one.open = true;
    });
    addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("#theme").forEach(themeButton);
    document.querySelectorAll("table.data").forEach(sortable);
    document.querySelectorAll("button.csv").forEach((button) => {
      button.addEventListener("click", () => download(document.getElementById(button.dataset.of)));
      button.hidden = false;
    });
    document.querySelectorAll("input.filter").forEach(filterable);
    printing();
  });
})();
