// Keyboard navigation in the grid. Enter opens the sensor, because a cell is a link.

/** Arrow keys, Home, End, Page Up and Page Down move the focus from cell to cell. */
export function followKeys(root, sheet) {
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || event.shiftKey) return;
    const place = placeOf(sheet);
    const target = place && goal(event, place, sheet);
    if (!target) return;
    event.preventDefault();
    sheet.focus(target.group, target.index);
  });
}

function placeOf({ groups, active }) {
  for (const group of groups) {
    const index = group.sensors.findIndex(({ mac }) => mac === active);
    if (index >= 0) return { group, index };
  }
  return null;
}

function goal({ key, ctrlKey }, place, sheet) {
  const { groups, columns, page } = sheet;
  const { group, index } = place;
  const start = index - (index % columns);
  const end = Math.min(start + columns, group.sensors.length) - 1;
  const last = groups.at(-1);
  if (ctrlKey) {
    return {
      Home: { group: groups[0], index: 0 },
      End: { group: last, index: last.sensors.length - 1 },
    }[key];
  }
  switch (key) {
    case "ArrowLeft": return neighbour(groups, place, -1);
    case "ArrowRight": return neighbour(groups, place, 1);
    case "ArrowUp": return rowsAway(groups, place, -1, columns);
    case "ArrowDown": return rowsAway(groups, place, 1, columns);
    case "PageUp": return rowsAway(groups, place, -page, columns);
    case "PageDown": return rowsAway(groups, place, page, columns);
    case "Home": return { group, index: start };
    case "End": return { group, index: end };
    default: return null;
  }
}

function neighbour(groups, { group, index }, step) {
  if (index + step >= 0 && index + step < group.sensors.length) return { group, index: index + step };
  const next = groups[groups.indexOf(group) + step];
  return next ? { group: next, index: step > 0 ? 0 : next.sensors.length - 1 } : { group, index };
}

/** The cell this many rows down or up, at most the last row, in the same or the last column. */
function rowsAway(groups, { group, index }, rows, columns) {
  const column = index % columns;
  let n = groups.indexOf(group), row = Math.floor(index / columns) + rows;
  while (row < 0 && n > 0) row += groups[--n].rows;
  while (row >= groups[n].rows && n < groups.length - 1) row -= groups[n++].rows;
  row = Math.min(Math.max(row, 0), groups[n].rows - 1);
  return { group: groups[n], index: Math.min(row * columns + column, groups[n].sensors.length - 1) };
}
