<?php

declare(strict_types=1);

namespace PushGateway\Http;

use PushGateway\Exception\CallFailed;

/** Makes requests to the operations port of gateway-server. */
interface Transport
{
    /** The longest answer in bytes that is taken: a list of the API has 64 MiB at most. */
    public const MAX_ANSWER = 65 << 20;

    /**
     * @param string $path such as `/api/sendToAll`
     * @param float $timeout for how many seconds to wait at most
     * @throws CallFailed when there is no answer
     */
    public function post(string $path, string $json, float $timeout): Answer;
}
