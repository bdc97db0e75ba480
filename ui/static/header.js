// Dark or light: the system's choice until the person makes one, which this browser remembers.
element.querySelector(".vv-theme").addEventListener("click", () => {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("vivavoce-theme", dark ? "dark" : "light");
});
