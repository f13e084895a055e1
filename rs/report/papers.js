// Shows a cell's title on a click or focus, for readers who cannot hover.
for (const cell of document.querySelectorAll("table.printed td[title]"))
  for (const event of ["click", "focus"])
    cell.addEventListener(event, () => {
      const row = document.getElementById(`study ${cell.dataset.study}`), link = row?.querySelector("a")?.href ?? `#${encodeURIComponent(row?.id)}`;
      cell.closest("section").querySelector(".told").replaceChildren(`${cell.title} · `, ...(row ? [make("a", { href: link }, cell.dataset.study)] : []));
    });
