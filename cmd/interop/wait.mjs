// waitFor makes a function that waits for a promise, and fails when patience, in ms, is over.
export const waitFor = (patience) => async (promise, what) => {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: did not happen`)), patience)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
