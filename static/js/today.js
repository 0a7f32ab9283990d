export function mount(main) { main.textContent = "x"; return () => {}; }
