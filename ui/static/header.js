// Dark or light: the system's choice until the person makes one, which this browser remembers.

const remembered = (action) => {
  try {
    return action(localStorage);
  } catch {
    return null; // storage is closed to pages inside another site's frame
  }
};
const saved = remembered((storage) => storage.getItem("vivavoce-theme"));
if (saved) document.body.classList.toggle("dark", saved === "dark");
element.querySelector(".vv-theme").addEventListener("click", () => {
  const theme = document.body.classList.toggle("dark") ? "dark" : "light";
  remembered((storage) => storage.setItem("vivavoce-theme", theme));
});
