// The sensors of one site in the grid: a heading and the visible rows.

export class Section {
  #heading;
  #rows = new Map();
  #placed = "";
  #said = "";

  constructor(template) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.#heading = this.element.querySelector(".site");
  }

  /** Shows exactly these rows of the group in the page. */
  show(group, rows, { columns, rowHeight }, cellOf) {
    const placed = [group.top, group.head, group.height, group.firstRow, rowHeight].join(" ");
    if (placed !== this.#placed) {
      this.#placed = placed;
      this.element.style.top = `${group.top}px`;
      this.element.style.height = `${group.height}px`;
      for (const [number, row] of this.#rows) place(row, number, group, rowHeight);
    }
    this.#say(group, columns);
    for (const [number, row] of this.#rows) {
      if (rows.has(number)) continue;
      row.remove();
      this.#rows.delete(number);
    }
    let next = this.#heading.nextElementSibling;
    for (const number of [...rows].sort((a, b) => a - b)) {
      let row = this.#rows.get(number);
      if (!row) {
        row = document.createElement("div");
        row.className = "row";
        row.role = "row";
        this.#rows.set(number, row);
        place(row, number, group, rowHeight);
      }
      fill(row, group.sensors.slice(number * columns, (number + 1) * columns).map(cellOf));
      if (row === next) next = next.nextElementSibling;
      else this.element.insertBefore(row, next);
    }
  }

  #say({ site, head, sensors, down, unknown, firstRow }, columns) {
    const said = [site, sensors.length, down, unknown, firstRow, columns].join("\n");
    if (said === this.#said) return;
    this.#said = said;
    this.#heading.hidden = !head;
    this.#heading.ariaRowIndex = firstRow;
    this.#heading.firstElementChild.ariaColSpan = columns;
    const part = (name) => this.#heading.querySelector(`.${name}`);
    part("of").textContent = site ?? "No site";
    part("total").textContent = sensors.length;
    const plans = part("plans");
    if (plans) {
      plans.hidden = site === null;
      for (const link of plans.children) {
        const page = new URL(link.getAttribute("href"), window.location.href);
        page.searchParams.set("matchers", `site=${site}`);
        link.href = page.href;
        link.ariaLabel = `${link.textContent} at ${site}`;
      }
    }
    for (const [name, count] of Object.entries({ down, unknown })) {
      const told = part(`is-${name}`);
      told.hidden = count === 0;
      told.lastElementChild.textContent = `${count} ${name}`;
    }
  }
}

function place(row, number, { head, firstRow }, rowHeight) {
  row.style.top = `${head + number * rowHeight}px`;
  row.ariaRowIndex = firstRow + (head ? 1 : 0) + number;
}

function fill(row, cells) {
  const same = row.childElementCount === cells.length &&
    cells.every(({ element }, n) => row.children[n] === element);
  if (same) return;
  row.replaceChildren(...cells.map(({ element }) => element));
  cells.forEach(({ element }, n) => (element.ariaColIndex = n + 1));
}
