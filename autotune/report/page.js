"use strict";
(() => {
  const tip = document.getElementById("tip");
  document.addEventListener("pointermove", (event) => {
    const owner = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    tip.hidden = !owner;
    if (!owner) return;
    tip.textContent = owner.getAttribute("data-tip");
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
    const top = event.clientY + 18 + box.height > window.innerHeight ? event.clientY - box.height - 12 : event.clientY + 18;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = top + "px";
  });

  function keyed(element, act) {
    element.tabIndex = 0;
    element.addEventListener("click", act);
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act();
    });
  }

  let picked = null;
  for (const item of document.querySelectorAll(".legend.picks li")) {
    const colour = [...item.querySelector("i").classList].find((name) => /^c[0-9x]$/.test(name));
    item.dataset.colour = colour;
    keyed(item, () => {
      picked = picked === colour ? null : colour;
      for (const other of document.querySelectorAll(".legend.picks li")) {
        other.classList.toggle("picked", other.dataset.colour === picked);
      }
      for (const mark of document.querySelectorAll(".dot, .curve, .thread")) {
        mark.classList.toggle("faded", picked !== null && !mark.classList.contains(picked));
      }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("th").forEach((head, column) => keyed(head, () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].dataset.sort;
      const rows = [...body.rows].sort((a, b) => {
        const order = key(a) !== undefined && key(b) !== undefined
          ? Number(key(a)) - Number(key(b)) || 0
          : row(a).localeCompare(row(b));
        return down ? -order : order;
      });
      function row(one) { return one.cells[column].textContent; }
      body.append(...rows);
    }));
  }
})();
