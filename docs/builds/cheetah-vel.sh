zeroshot experts build cheetah-vel --recipe sac-laptop --chain --anchors velocity=1.461538462 \
    --checkpoint-every 1000 --checkpoint-last 4 --workers 1 --out zoo/cheetah-vel
# shipped as policies alone, in float16: experts.shipping.lighten
