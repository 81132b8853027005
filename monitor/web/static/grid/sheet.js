// The grid's groups, rows and cells. Only visible rows are in the page.

import { Cell } from "./cell.js";
import { Section } from "./section.js";

const BEYOND = 300;

export class Sheet {
  groups = [];
  columns = 1;
  rowHeight = 1;
  /** The height in pixels that the sticky header covers. */
  covered = 0;
  /** The MAC address of the cell that has the focus, or had it last. */
  active = null;
  #root;
  #templates;
  #drawn;
  #cells = new Map();
  #sections = new Map();
  #beyond = BEYOND;
  #first = null;
  #state = { now: 0, live: true, bySite: true };
  #top = 0;
  #width = 0;
  /** False until the first `show`: the page still has the server's HTML. */
  #started = false;

  /** `templates`: of a group and of a cell. `drawn(cells)` is called with the cells in the page. */
  constructor(root, templates, drawn) {
    this.#root = root;
    this.#templates = templates;
    this.#drawn = drawn;
    root.addEventListener("focusin", ({ target }) => {
      for (const [mac, { link }] of this.#cells) if (link === target) this.active = mac;
      this.#rove();
    });
    new ResizeObserver(() => root.clientWidth === this.#width || this.#measure()).observe(root);
    window.addEventListener("scroll", () => this.#draw(), { passive: true });
    window.addEventListener("resize", () => this.#measure());
    window.addEventListener("beforeprint", () => this.#print(Infinity));
    window.addEventListener("afterprint", () => this.#print(BEYOND));
  }

  /** Shows these groups from arrange.js. */
  show(groups, now, live) {
    const focused = this.#focused();
    this.#started = true;
    this.groups = groups;
    this.#state = { now, live, bySite: groups.some(({ site }) => site !== "") };
    this.#root.hidden = groups.length === 0;
    for (const cell of this.#cells.values()) this.#follow(cell);
    this.#measure();
    if (focused && !this.#focused()) this.#cells.get(focused)?.link.focus({ preventScroll: true });
  }

  /** Updates the visible cells. */
  tick(now, live) {
    Object.assign(this.#state, { now, live });
    for (const cell of this.#cells.values()) this.#follow(cell);
  }

  /** The number of rows that fit on the screen. */
  get page() {
    return Math.max(1, Math.floor((window.innerHeight - this.covered) / this.rowHeight) - 1);
  }

  /** Focuses the cell, and scrolls to it if necessary. */
  focus(group, index) {
    const row = Math.floor(index / this.columns);
    const y = this.#top + group.top + group.head + row * this.rowHeight;
    const first = window.scrollY + this.covered + group.head;
    const last = window.scrollY + window.innerHeight - this.rowHeight;
    if (y < first) window.scrollTo(0, y - this.covered - group.head);
    else if (y > last) window.scrollTo(0, y - window.innerHeight + this.rowHeight + 8);
    this.active = group.sensors[index].mac;
    this.#draw();
    this.#cells.get(this.active).link.focus({ preventScroll: true });
  }

  #measure() {
    if (!this.#started) return;
    const style = getComputedStyle(this.#root);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const length = (name) => parseFloat(style.getPropertyValue(name)) * rem;
    const gap = length("--gap"), head = length("--head");
    this.#width = this.#root.clientWidth;
    this.columns = Math.max(1, Math.floor((this.#width + gap) / (length("--cell-width") + gap)));
    this.rowHeight = length("--cell-height") + gap;
    this.#root.style.setProperty("--columns", this.columns);
    let top = 0, rows = 0;
    for (const group of this.groups) {
      group.top = top;
      group.head = group.site === "" ? 0 : head;
      group.rows = Math.ceil(group.sensors.length / this.columns);
      group.firstRow = rows + 1;
      group.height = group.head + group.rows * this.rowHeight;
      top += group.height + (group.head ? gap : 0);
      rows += group.rows + (group.head ? 1 : 0);
    }
    this.#root.style.height = `${top}px`;
    this.#root.ariaRowCount = rows;
    this.#root.ariaColCount = this.columns;
    this.#draw();
  }

  #draw() {
    if (!this.#started) return;
    this.#top = this.#root.getBoundingClientRect().top + window.scrollY;
    const from = window.scrollY - this.#top - this.#beyond;
    const to = window.scrollY - this.#top + window.innerHeight + this.#beyond;
    const focused = this.#focused();
    const sections = new Map(), cells = new Map();
    this.#first = null;
    let next = this.#root.firstElementChild;
    for (const group of this.groups) {
      const kept = focused ? group.sensors.findIndex(({ mac }) => mac === focused) : -1;
      if ((group.top > to || group.top + group.height < from) && kept < 0) continue;
      const first = Math.floor((from - group.top - group.head) / this.rowHeight);
      const last = Math.floor((to - group.top - group.head) / this.rowHeight);
      const rows = new Set();
      for (let row = Math.max(0, first); row <= Math.min(group.rows - 1, last); row += 1) rows.add(row);
      if (kept >= 0) rows.add(Math.floor(kept / this.columns));
      const reached = Math.ceil((from + this.#beyond + this.covered - group.top - group.head) / this.rowHeight);
      if (reached < group.rows) this.#first ??= group.sensors[Math.max(0, reached) * this.columns].mac;
      const section = this.#sections.get(group.site) ?? new Section(this.#templates.group);
      section.show(group, rows, this, (sensor) => {
        const cell = this.#cells.get(sensor.mac) ?? this.#made(sensor);
        cells.set(sensor.mac, cell);
        return cell;
      });
      sections.set(group.site, section);
      if (section.element === next) next = next.nextElementSibling;
      else this.#root.insertBefore(section.element, next);
    }
    for (const [site, { element }] of this.#sections) if (!sections.has(site)) element.remove();
    this.#sections = sections;
    this.#cells = cells;
    this.#rove();
    this.#drawn([...cells.values()]);
  }

  /** For printing, all rows are in the page. */
  #print(beyond) {
    this.#beyond = beyond;
    this.#draw();
  }

  #made(sensor) {
    return this.#follow(new Cell(this.#templates.cell, sensor));
  }

  #follow(cell) {
    const { now, live, bySite } = this.#state;
    return cell.show(now, live, !bySite);
  }

  /** Makes one cell reachable with Tab, and the others from there with arrow keys. */
  #rove() {
    const reached = this.#cells.has(this.active) ? this.active : this.#first;
    for (const [mac, { link }] of this.#cells) {
      const index = mac === reached ? 0 : -1;
      if (link.tabIndex !== index) link.tabIndex = index;
    }
  }

  #focused() {
    return this.#root.contains(document.activeElement) ? this.active : null;
  }
}
