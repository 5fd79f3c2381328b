<?php

/**
 * Sends a message and says so in a file once it is delivered, then waits for another file and sends messages again: `ARGUMENT` is
 * `uid,file to write to,file to wait for`.
 */

declare(strict_types=1);

[$uid, $connected, $goOn] = explode(',', host_argument());
Gateway::sendToUid($uid, host_thread() . ' 0');
if (!Gateway::flush(10.0)) {
    echo "error: not delivered\n";
}
file_put_contents($connected, host_thread() . "\n", FILE_APPEND | LOCK_EX);
for ($waited = 0; !file_exists($goOn) && $waited < 10_000; $waited++) {
    usleep(1000);
    clearstatcache();
}
for ($number = 1; $number <= 10; $number++) {
    Gateway::sendToUid($uid, host_thread() . " $number");
}
