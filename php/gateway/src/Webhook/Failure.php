<?php

declare(strict_types=1);

namespace PushGateway\Webhook;

/** The ways in which a request is no webhook of the gateway. */
enum Failure
{
    /** The body has more bytes than {@see Webhook::MAX_BODY}. */
    case BodyTooLong;
    /** One of the three headers is missing, comes twice, or is not of its form. */
    case BadHeader;
    /** The time of the request is too far from the time of this machine: the request is old, or a clock is wrong. */
    case WrongTime;
    /** No signature of the request is that of a secret for this body. */
    case WrongSignature;
    /** The request is signed, but its body is not what the gateway writes. */
    case BadBody;
}
