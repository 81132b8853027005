// A checkbox that selects all others on the page, and how many are selected.

const all = document.querySelector("[data-all]");
const count = document.querySelector(".choosing legend");
const others = [...document.querySelectorAll("tbody input[type=checkbox]")];

function agree() {
  const ticked = others.filter((one) => one.checked).length;
  if (count) count.textContent = `${ticked} selected`;
  all.checked = ticked === others.length;
  all.indeterminate = ticked > 0 && ticked < others.length;
}

if (all !== null) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const one of others) one.checked = all.checked;
  });
  for (const one of others) one.addEventListener("change", agree);
  agree();
}
