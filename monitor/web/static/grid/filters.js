// Keeps the filter form and the page's URL in sync.

const MOST_VALUES = 100;

export class Filters {
  #form;
  #changed;
  #typing = false;
  #offered = "";

  /** Calls `changed()` when the form changes, or when the user goes back in the history. */
  constructor(form, changed) {
    this.#form = form;
    this.#changed = changed;
    const { q } = form.elements;
    form.addEventListener("input", (event) => event.target === q && this.#follow(this.#typing));
    form.addEventListener("change", (event) => event.target !== q && this.#follow(false));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => this.#follow(false)));
    q.addEventListener("focus", () => (this.#typing = false));
    window.addEventListener("popstate", () => this.#restore());
    document.addEventListener("keydown", (event) => this.#shortcut(event));
    this.#restore(false);
  }

  read() {
    const { q, site, label, order, group } = this.#form.elements;
    return {
      query: q.value.trim(),
      statuses: new Set([...this.#checks()].filter((box) => box.checked).map((box) => box.value)),
      site: site.value,
      label: label.value,
      byName: order.value === "name",
      flat: group.value === "none",
    };
  }

  /** Fills the choices with these sites and labels (name -> values). Keeps the selection. */
  offer(sites, labels) {
    const offered = JSON.stringify([sites, labels]);
    if (offered === this.#offered) return;
    this.#offered = offered;
    const { site, label, group } = this.#form.elements;
    fill(site, sites.map((name) => choice(name, name)), sites.length > 0);
    const few = labels.filter(([, values]) => values.length <= MOST_VALUES);
    fill(label, few.map(([name, values]) => {
      const made = document.createElement("optgroup");
      made.label = name;
      made.append(...values.map((value) => choice(`${name}=${value}`, `${name}: ${value || "–"}`)));
      return made;
    }), few.length > 0);
    group.hidden = sites.length === 0;
  }

  #checks() {
    return this.#form.querySelectorAll("[name=status]");
  }

  /** Updates the URL. While the user types, the history gets only one entry, not one per letter. */
  #follow(replaces) {
    this.#typing = true;
    const told = new URLSearchParams(new FormData(this.#form));
    for (const [name, value] of [...told]) if (!value) told.delete(name, value);
    const address = told.size > 0 ? `?${told}` : window.location.pathname;
    if (replaces) window.history.replaceState(null, "", address);
    else window.history.pushState(null, "", address);
    this.#changed();
  }

  #restore(tell = true) {
    this.#typing = false;
    const told = new URLSearchParams(window.location.search);
    const { q, site, label, order, group } = this.#form.elements;
    q.value = told.get("q") ?? "";
    for (const box of this.#checks()) box.checked = told.getAll("status").includes(box.value);
    choose(site, told.get("site") ?? "");
    choose(label, told.get("label") ?? "");
    order.value = told.get("order") === "name" ? "name" : "";
    group.value = told.get("group") === "none" ? "none" : "";
    if (tell) this.#changed();
  }

  #shortcut(event) {
    const { q } = this.#form.elements;
    if (event.key === "Escape" && event.target === q && q.value) {
      event.preventDefault();
      q.value = "";
      this.#follow(false);
    } else if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      q.focus();
      q.select();
    }
  }
}

function choice(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

function fill(select, options, useful) {
  const chosen = select.value;
  select.replaceChildren(select.options[0], ...options);
  choose(select, chosen);
  select.hidden = !useful && !chosen;
}

/** Selects the value. If it is not a choice, adds it, because the filter still applies. */
function choose(select, value) {
  if (![...select.options].some((option) => option.value === value)) {
    select.append(choice(value, value));
    select.hidden = false;
  }
  select.value = value;
}
