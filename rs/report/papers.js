// What a cell's title says, for those who cannot hover.
for (const cell of document.querySelectorAll("table.printed td[title]"))
  for (const event of ["click", "focus"])
    cell.addEventListener(event, () => { cell.closest("section").querySelector(".told").textContent = cell.title; });
