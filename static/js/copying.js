// Buttons with data-copy="<id>": put the text of that field on the clipboard and say so.
export function copying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const field = document.getElementById(button.dataset.copy);
      const word = button.textContent;
      try {
        await navigator.clipboard.writeText(field.value ?? field.textContent);
      } catch {
        field.select?.();
        return;
      }
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = word), 2000);
    });
  }
}
