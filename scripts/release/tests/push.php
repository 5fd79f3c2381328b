<?php

/** What a page's first request does: binds the page to a user, if it is the page's own client_id, and pushes to the user. */

Gateway::$registerAddress = '127.0.0.1:1238';
$init = json_decode((string) getenv('INIT'), true, 8, JSON_THROW_ON_ERROR);
Gateway::isClientProof($init['client_id'], $init['proof']) || exit("The proof is not the page's.\n");
Gateway::bindUid($init['client_id'], '7');
Gateway::sendToUid('7', 'hello from PHP ' . PHP_VERSION . ' with gateway ' . phpversion('gateway'));
