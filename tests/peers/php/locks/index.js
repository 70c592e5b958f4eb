// Advisory locks of files, for PHP in WebAssembly. One PHP at a time has the files of a test, so nobody waits for a lock
// and each one is granted.

const granted = () => 0;

export const constants = { F_RDLCK: 0, F_WRLCK: 1, F_UNLCK: 2, LOCKFILE_FAIL_IMMEDIATELY: 1, LOCKFILE_EXCLUSIVE_LOCK: 2 };
export const [flockSync, fcntlSync, lockFileExSync, unlockFileExSync] = [granted, granted, granted, granted];
