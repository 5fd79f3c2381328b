<?php

/**
 * Sends numbered messages of this thread to a uid: `ARGUMENT` is `uid,first,count`.
 */

declare(strict_types=1);

[$uid, $first, $count] = explode(',', host_argument());
for ($number = (int) $first; $number < $first + $count; $number++) {
    Gateway::sendToUid($uid, host_thread() . ' ' . $number);
}
