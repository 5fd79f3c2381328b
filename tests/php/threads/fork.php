<?php

/**
 * Every thread sends numbered messages to a uid, `ARGUMENT`, and half of them fork in between: the child sends too, under a
 * number of its own.
 */

declare(strict_types=1);

$uid = host_argument();
$sender = (string) host_thread();
for ($number = 0; $number < 100; $number++) {
    Gateway::sendToUid($uid, "$sender $number");
    if ($number === 50 && host_thread() % 2 === 0 && host_fork() === 0) {
        $sender = 'child-' . host_thread();
        $number = -1;
        $isChild = true;
    }
    if (isset($isChild) && $number === 39) {
        break;
    }
}
if (!isset($isChild) && host_thread() % 2 === 0) {
    echo 'forked ', host_thread(), "\n";
}
